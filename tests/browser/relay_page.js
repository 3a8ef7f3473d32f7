// One headless Chromium page with two RTCPeerConnections that may use relayed candidates only. They open a data channel
// through the TURN server and exchange messages; what came of it is printed as one line of JSON.
//
// node relay_page.js '{"urls": ["turn:...", "turns:..."], "username": "...", "credential": "...", "messages": 50}'
//
// `urls` has one URL for each end. Besides: "restart": true for an ICE restart in between; "spki", the SHA-256 of each
// certificate key that is trusted without an authority, with commas; "hosts", rules such as "MAP turn.example 127.0.0.1";
// "page", what to load first, whose text is told.
'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');
const {chromium} = require('playwright-core');

// Runs in the page.
async function exchange({urls, username, credential, messages, restart, wait = 30000}) {
  const within = (promise, what) => Promise.race([
    promise, new Promise((_, reject) => setTimeout(() => reject(new Error(`${what}: not within ${wait} ms`)), wait))]);
  const ends = urls.map((url) => new RTCPeerConnection(
    {iceServers: [{urls: url, username, credential}], iceTransportPolicy: 'relay'}));
  const errors = [];
  const candidates = [];
  ends.forEach((end, index) => {
    end.onicecandidateerror = (event) => errors.push(`${event.errorCode} ${event.errorText}`);
    end.onicecandidate = ({candidate}) => {
      if (!candidate || !candidate.candidate) return;
      candidates.push(candidate.candidate);
      ends[1 - index].addIceCandidate(candidate);
    };
  });
  const negotiate = async (options) => {
    await ends[0].setLocalDescription(await ends[0].createOffer(options));
    await ends[1].setRemoteDescription(ends[0].localDescription);
    await ends[1].setLocalDescription(await ends[1].createAnswer());
    await ends[0].setRemoteDescription(ends[1].localDescription);
  };
  const echo = async (channel, first, count) => {  // sends, and takes what comes back
    const back = [];
    const all = new Promise((resolve) => {
      channel.onmessage = ({data}) => {
        back.push(data);
        if (back.length === count) resolve();
      };
    });
    const sent = [];
    for (let number = first; number < first + count; ++number) {
      sent.push(`${number}:` + 'x'.repeat((number * 331) % 4000));
      channel.send(sent[sent.length - 1]);
    }
    await within(all, `${count} messages back (there are ${back.length})`);
    return sent.every((text, index) => back[index] === 'echo ' + text);
  };
  const pair = async (end) => {
    const stats = [...(await end.getStats()).values()];
    const transport = stats.find((entry) => entry.type === 'transport');
    const selected = stats.find((entry) => entry.id === transport.selectedCandidatePairId);
    const [local, remote] = ['localCandidateId', 'remoteCandidateId'].map(
      (key) => stats.find((entry) => entry.id === selected[key]));
    return {local: local.candidateType, protocol: local.relayProtocol, url: local.url, remote: remote.candidateType,
            bytes: selected.bytesReceived};
  };

  try {
    const channel = ends[0].createDataChannel('relay');
    ends[1].ondatachannel = ({channel: other}) => { other.onmessage = ({data}) => other.send('echo ' + data); };
    const opened = new Promise((resolve) => { channel.onopen = resolve; });
    await negotiate();
    await within(opened, 'data channel');
    const intact = [await echo(channel, 0, messages)];
    if (restart) {  // new candidates, and so new allocations, while the channel goes on
      await negotiate({iceRestart: true});
      intact.push(await echo(channel, messages, messages));
    }
    return {ok: intact.every(Boolean), messages: messages * intact.length, pairs: [await pair(ends[0]), await pair(ends[1])],
            candidates, errors};
  } catch (error) {
    return {ok: false, failure: String(error), candidates, errors, states: ends.map((end) => end.iceConnectionState)};
  } finally {
    ends.forEach((end) => end.close());
  }
}

async function main() {
  const task = JSON.parse(process.argv[2]);
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'turnkit-chromium-'));
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
                '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
                '--allow-loopback-in-peer-connection'];
  if (task.spki) args.push(`--ignore-certificate-errors-spki-list=${task.spki}`);
  if (task.hosts) args.push(`--host-resolver-rules=${task.hosts}`);
  const context = await chromium.launchPersistentContext(profile, {executablePath: task.chromium || '/usr/bin/chromium',
                                                                   headless: true, args});
  try {
    const page = await context.newPage();
    let text = null;
    if (task.page) {
      await page.goto(task.page);
      text = await page.textContent('body');
    }
    console.log(JSON.stringify({...await page.evaluate(exchange, task), text}));
  } finally {
    await context.close();
    fs.rmSync(profile, {recursive: true, force: true});
  }
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
