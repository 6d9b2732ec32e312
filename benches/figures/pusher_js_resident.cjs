// The peer of answer.rs: a resident who says `accepted` to every request at once and does nothing else.
// node pusher_js_resident.cjs NPM_FOLDER PORT KEY API RESIDENT
const path = require('path');
const [folder, port, key, api, resident] = process.argv.slice(2);
const Pusher = require(path.join(folder, 'pusher-js'));

async function post(route, body, headers = {}) {
  const answer = await fetch(api + route, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
  return answer.json();
}

(async () => {
  const { token } = await post('/api-token-auth/', { username: 'chattademo', password: 'password' });
  const authorise = async ({ socketId, channelName }, done) =>
    done(null, await post('/pusher/auth/', { socket_id: socketId, channel_name: channelName }, { authorization: `Bearer ${token}` }));
  const pusher = new Pusher(key, {
    cluster: 'none', wsHost: '127.0.0.1', wsPort: Number(port), forceTLS: false, enabledTransports: ['ws'], disableStats: true,
    channelAuthorization: { customHandler: authorise },
  });
  const calls = pusher.subscribe('private-call-7');
  calls.bind(`client-conferencing-call-requested-${resident}`, ({ initiator, target, roomName }) =>
    calls.trigger(`client-conferencing-call-accepted-${initiator.id}`, { initiator: { id: initiator.id }, target: { id: target.id }, roomName })
  );
})();
