#!/usr/bin/python3
"""aioice, an independent ICE and TURN client in Python (Debian package python3-aioice), through turnd."""

import asyncio
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import servers, testing, turn  # noqa: E402

try:
    import aioice
    import aioice.turn
except ImportError:  # the listing for CMake must work without it; each test says what is missing
    aioice = None

WAIT = 20.0


class Inbox(asyncio.DatagramProtocol):
    """Collects what a transport receives."""

    def __init__(self):
        self.queue = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.queue.put_nowait((data, addr))

    async def next(self):
        return await asyncio.wait_for(self.queue.get(), WAIT)


class Aioice(testing.TestCase):
    """Each test runs one event loop to its end."""

    def setUp(self):
        super().setUp()
        self.assertIsNotNone(aioice, 'python3-aioice is not installed; deps/test.txt lists it')
        self.turnd = self.started(servers.Turnd('--verbose'))

    async def endpoint(self, user=servers.USER, password=servers.PASSWORD, **options):
        return await asyncio.wait_for(
            aioice.turn.create_turn_endpoint(Inbox, server_addr=self.turnd.address, username=user, password=password,
                                             **options), WAIT)

    async def peer(self):
        transport, inbox = await asyncio.get_running_loop().create_datagram_endpoint(Inbox, ('127.0.0.1', 0))
        return transport, inbox, transport.get_extra_info('sockname')

    async def logged(self, pattern):
        """Waits for a line of turnd's while the event loop goes on."""
        await asyncio.get_running_loop().run_in_executor(None, self.turnd.wait_for, pattern)

    async def check_both_ways(self, **options):
        relayed, inbox = await self.endpoint(**options)
        relayed_address = relayed.get_extra_info('sockname')
        peer, peer_inbox, peer_address = await self.peer()
        sent = [bytes([number]) * size for number, size in enumerate((1, 4, 5, 160, 1200))]
        for data in sent:
            relayed.sendto(data, peer_address)
            arrived, source = await peer_inbox.next()
            self.assertEqual((arrived, source), (data, relayed_address))
            peer.sendto(arrived[::-1] + b'!', source)
            self.assertEqual(await inbox.next(), (data[::-1] + b'!', peer_address))
        relayed.close()
        await self.logged(r'closed \(2nd stage\)')
        peer.close()

    @testing.case()
    def test_data_goes_both_ways_for_a_user(self):
        asyncio.run(self.check_both_ways())

    @testing.case()
    def test_data_goes_both_ways_for_a_secret(self):
        user, password = turn.rest_credentials(servers.SECRET, 'bob')
        asyncio.run(self.check_both_ways(user=user, password=password))

    @testing.case()
    def test_a_wrong_password_is_refused(self):
        async def scenario():
            with self.assertRaisesRegex(aioice.stun.TransactionFailed, '401'):
                await self.endpoint(password='wrong')

        asyncio.run(scenario())

    @testing.case()
    def test_channels_are_refreshed(self):
        async def scenario():
            relayed, inbox = await self.endpoint(channel_refresh_time=0)  # before each datagram
            peer, peer_inbox, peer_address = await self.peer()
            for number in range(5):
                relayed.sendto(b'%d' % number, peer_address)
                data, source = await peer_inbox.next()
                self.assertEqual(data, b'%d' % number)
                peer.sendto(data, source)
                self.assertEqual(await inbox.next(), (data, peer_address))
            relayed.close()
            peer.close()

        asyncio.run(scenario())
        bound = [line for line in self.turnd.lines() if 'CHANNEL_BIND processed, success' in line]
        self.assertGreaterEqual(len(bound), 5, self.turnd.output())

    @testing.case()
    def test_allocation_is_refreshed_before_it_expires(self):
        async def scenario():
            relayed, _ = await self.endpoint(lifetime=600)
            inner = relayed._TurnTransport__inner_protocol  # pylint: disable=protected-access
            inner.refresh_handle.cancel()
            inner.refresh_handle = asyncio.ensure_future(inner.refresh(0.5))  # as if it had half a second left
            await self.logged('refreshed, realm=.* lifetime=600')
            relayed.close()
            await self.logged(r'closed \(2nd stage\)')

        asyncio.run(scenario())

    @testing.case()
    def test_two_agents_connect_through_the_relay_only(self):
        async def scenario():
            agents = [aioice.Connection(ice_controlling=controlling, turn_server=self.turnd.address,
                                        turn_username=servers.USER, turn_password=servers.PASSWORD)
                      for controlling in (True, False)]
            for agent in agents:
                await asyncio.wait_for(agent.gather_candidates(), WAIT)
            unused = []
            for one, other in (agents, agents[::-1]):
                relays = [candidate for candidate in one.local_candidates if candidate.type == 'relay']
                self.assertEqual(len(relays), 1, one.local_candidates)
                for candidate in relays:
                    await other.add_remote_candidate(candidate)
                await other.add_remote_candidate(None)
                other.remote_username, other.remote_password = one.local_username, one.local_password
                unused += self.keep_only_relay(one)
            await asyncio.wait_for(asyncio.gather(*(agent.connect() for agent in agents)), WAIT)

            for agent in agents:
                pair = agent._nominated[1]  # pylint: disable=protected-access
                self.assertEqual((pair.local_candidate.type, pair.remote_candidate.type), ('relay', 'relay'))
            for number in range(20):
                for one, other in (agents, agents[::-1]):
                    await one.send(b'media %d' % number)
                    self.assertEqual(await asyncio.wait_for(other.recv(), WAIT), b'media %d' % number)
            for agent in agents:
                await agent.close()
            for protocol in unused:
                protocol.transport.close()

        asyncio.run(scenario())

    @staticmethod
    def keep_only_relay(agent):
        """Leaves the agent's relayed address as its only way out, as iceTransportPolicy "relay" does in a browser; the
        ways taken away."""
        protocols = agent._protocols  # pylint: disable=protected-access
        unused = [protocol for protocol in protocols if protocol.local_candidate.type != 'relay']
        for protocol in unused:
            protocols.remove(protocol)
        return unused


if __name__ == '__main__':
    testing.main()
