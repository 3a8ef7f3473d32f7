"""A small web server of a test's own, with or without TLS, that says who asked; and HTTP over a bare socket."""

import socket
import ssl
import threading


class Site:
    """Answers every request with its name, and after a PROXY header (v1 or v2) with the address of that. Ends each
    connection. `tls` is a Certificate, `alpn` what it agrees to."""

    def __init__(self, name, *, tls=None, alpn=('http/1.1',), proxied=False):
        self.name = name
        self.proxied = proxied
        self.seen = []  # first lines of requests
        self._context = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(tls.cert, tls.pkey)
            self._context.set_alpn_protocols(list(alpn))
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.address = self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(10)
        try:
            client = self._read_proxy_header(sock) if self.proxied else ''
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            request = b''
            while b'\r\n\r\n' not in request:
                more = sock.recv(4096)
                if not more:
                    return
                request += more
            self.seen.append(request.split(b'\r\n', 1)[0].decode('latin-1'))
            body = f'{self.name} {client}'.strip().encode()
            sock.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' % (len(body), body))
        except OSError:
            pass
        finally:
            sock.close()

    @staticmethod
    def _read_proxy_header(sock):
        def exactly(count):
            data = b''
            while len(data) < count:
                more = sock.recv(count - len(data))
                if not more:
                    raise OSError('cut off')
                data += more
            return data

        start = exactly(12)
        if start == b'\r\n\r\n\x00\r\nQUIT\n':
            head = exactly(4)
            rest = exactly(int.from_bytes(head[2:4], 'big'))
            return f'{socket.inet_ntoa(rest[:4])}:{int.from_bytes(rest[8:10], "big")}' if head[1] == 0x11 else 'local'
        while not start.endswith(b'\r\n'):
            start += exactly(1)
        words = start.decode('ascii').split()
        return f'{words[2]}:{words[4]}'

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass  # closed already
        self._listener.close()


def exchange(sock, request):
    """Sends the bytes, and reads to the end."""
    sock.settimeout(5)
    answer = b''
    try:
        sock.sendall(request)
        while more := sock.recv(4096):
            answer += more
    except (TimeoutError, ConnectionError):
        pass
    sock.close()
    return answer.decode('latin-1')


def get(sock, path='/', host='www.test.example'):
    """The answer to a GET over the socket; it is closed then."""
    return exchange(sock, f'GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
