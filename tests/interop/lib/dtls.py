"""A DTLS 1.2 client on the system's OpenSSL, through ctypes: Python's ssl module has none."""

import ctypes
import ctypes.util
import select
import socket
import time

_VERIFY_NONE = 0
_WANT_READ, _WANT_WRITE, _ZERO_RETURN = 2, 3, 6
_SET_MTU, _GET_TIMEOUT, _HANDLE_TIMEOUT = 17, 73, 74
_SET_CONNECTED = 32
_NO_QUERY_MTU = 0x1000


class Failure(OSError):
    """The handshake or the association failed."""


def _library():
    ssl = ctypes.CDLL(ctypes.util.find_library('ssl'), use_errno=True)
    crypto = ctypes.CDLL(ctypes.util.find_library('crypto'))
    pointer, text, number, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_long
    for name, result, arguments in (
            ('DTLS_client_method', pointer, ()), ('SSL_CTX_new', pointer, (pointer,)), ('SSL_CTX_free', None, (pointer,)),
            ('SSL_CTX_set_verify', None, (pointer, number, pointer)), ('SSL_new', pointer, (pointer,)),
            ('SSL_free', None, (pointer,)), ('SSL_set_bio', None, (pointer, pointer, pointer)),
            ('SSL_connect', number, (pointer,)), ('SSL_read', number, (pointer, text, number)),
            ('SSL_write', number, (pointer, text, number)), ('SSL_get_error', number, (pointer, number)),
            ('SSL_ctrl', size, (pointer, number, size, pointer)), ('SSL_shutdown', number, (pointer,)),
            ('SSL_set_options', ctypes.c_uint64, (pointer, ctypes.c_uint64)), ('SSL_get_version', text, (pointer,)),
            ('SSL_set_alpn_protos', number, (pointer, text, ctypes.c_uint)),
            ('SSL_get0_alpn_selected', None, (pointer, pointer, pointer)),
            ('SSL_CTX_use_certificate_chain_file', number, (pointer, text)),
            ('SSL_CTX_use_PrivateKey_file', number, (pointer, text, number))):
        function = getattr(ssl, name)
        function.restype, function.argtypes = result, arguments
    crypto.BIO_ctrl.restype, crypto.BIO_ctrl.argtypes = size, (pointer, number, size, pointer)
    crypto.BIO_new_dgram.restype, crypto.BIO_new_dgram.argtypes = pointer, (number, number)
    crypto.ERR_clear_error.restype = None
    crypto.ERR_get_error.restype = ctypes.c_ulong
    crypto.ERR_error_string.restype, crypto.ERR_error_string.argtypes = text, (ctypes.c_ulong, text)
    return ssl, crypto


_libraries = []


def _loaded():
    if not _libraries:
        _libraries.extend(_library())
    return _libraries


class _Timeval(ctypes.Structure):
    _fields_ = [('sec', ctypes.c_long), ('usec', ctypes.c_long)]


class Socket:
    """A connected UDP socket with a DTLS association on it; looks enough like a socket for turn.Client."""

    def __init__(self, server, *, local=None, timeout=10.0, alpn=(), certificate=None):
        self.ssl, self.crypto = _loaded()
        self.socket = socket.socket(socket.AF_INET6 if ':' in server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        self._context = self._ssl = None
        try:
            if local is not None:
                self.socket.bind(local)
            self.socket.connect(server)
            self.socket.setblocking(False)
            self._context = self.ssl.SSL_CTX_new(self.ssl.DTLS_client_method())
            self.ssl.SSL_CTX_set_verify(self._context, _VERIFY_NONE, None)
            if certificate is not None:
                self.ssl.SSL_CTX_use_certificate_chain_file(self._context, certificate.cert.encode())
                self.ssl.SSL_CTX_use_PrivateKey_file(self._context, certificate.pkey.encode(), 1)
            self._ssl = self.ssl.SSL_new(self._context)
            self.ssl.SSL_set_options(self._ssl, _NO_QUERY_MTU)
            self.ssl.SSL_ctrl(self._ssl, _SET_MTU, 1200, None)
            if alpn:
                protocols = b''.join(bytes([len(name)]) + name.encode() for name in alpn)
                self.ssl.SSL_set_alpn_protos(self._ssl, protocols, len(protocols))
            bio = self.crypto.BIO_new_dgram(self.socket.fileno(), 0)
            self.crypto.BIO_ctrl(bio, _SET_CONNECTED, 0, _sockaddr(server))
            self.ssl.SSL_set_bio(self._ssl, bio, bio)
            self._run(lambda: self.ssl.SSL_connect(self._ssl), timeout, 'DTLS handshake')
        except BaseException:
            self.close()
            raise

    def version(self):
        return self.ssl.SSL_get_version(self._ssl).decode()

    def alpn(self):
        data, size = ctypes.c_void_p(), ctypes.c_uint()
        self.ssl.SSL_get0_alpn_selected(self._ssl, ctypes.byref(data), ctypes.byref(size))
        return ctypes.string_at(data, size.value).decode() if size.value else None

    # Calls `step` until it succeeds; None when `timeout` ended first and `patient` says that this is no failure.
    def _run(self, step, timeout, what, patient=False):
        end = time.monotonic() + timeout
        while True:
            self.crypto.ERR_clear_error()
            ctypes.set_errno(0)
            result = step()
            if result > 0:
                return result
            error = self.ssl.SSL_get_error(self._ssl, result)
            if error not in (_WANT_READ, _WANT_WRITE):
                queued = self.crypto.ERR_get_error()
                reason = self.crypto.ERR_error_string(queued, None).decode() if queued else f'SSL error {error}'
                raise Failure(f'{what}: {reason}')
            left = end - time.monotonic()
            if left <= 0:
                if patient:
                    return None
                raise Failure(f'{what}: no answer in {timeout:g} s')
            due = _Timeval()
            if self.ssl.SSL_ctrl(self._ssl, _GET_TIMEOUT, 0, ctypes.byref(due)) == 1:
                left = min(left, due.sec + due.usec / 1e6 + 0.001)
            poll = select.poll()
            poll.register(self.socket, select.POLLIN)
            if not poll.poll(max(1, left * 1000)):
                self.ssl.SSL_ctrl(self._ssl, _HANDLE_TIMEOUT, 0, None)

    def send(self, data):
        if self.ssl.SSL_write(self._ssl, data, len(data)) != len(data):
            raise Failure('DTLS write')

    def receive(self, timeout):
        """The content of the next record; None when there is none in time."""
        buffer = ctypes.create_string_buffer(65536)
        size = self._run(lambda: self.ssl.SSL_read(self._ssl, buffer, len(buffer)), timeout, 'DTLS read', patient=True)
        return None if size is None else buffer.raw[:size]

    def setblocking(self, _):
        """Never blocks."""

    def getsockname(self):
        return self.socket.getsockname()

    def fileno(self):
        return self.socket.fileno()

    def abandon(self):
        """Closes the UDP socket without telling the server."""
        self.socket.close()

    def close(self):
        if self._ssl:
            if self.socket.fileno() >= 0:
                self.ssl.SSL_shutdown(self._ssl)
            self.ssl.SSL_free(self._ssl)
            self._ssl = None
        if self._context:
            self.ssl.SSL_CTX_free(self._context)
            self._context = None
        self.socket.close()


# The address as BIO_ADDR wants it: a sockaddr, padded.
def _sockaddr(server):
    if ':' in server[0]:
        raw = (socket.AF_INET6.to_bytes(2, 'little') + server[1].to_bytes(2, 'big') + bytes(4) +
               socket.inet_pton(socket.AF_INET6, server[0]) + bytes(4))
    else:
        raw = socket.AF_INET.to_bytes(2, 'little') + server[1].to_bytes(2, 'big') + socket.inet_aton(server[0]) + bytes(8)
    return ctypes.create_string_buffer(raw, 128)
