// The peer of foreign_events.rs: pusher-js, subscribed to the channel and bound to the one event that ends the run.
// node pusher_js.cjs NPM_FOLDER PORT KEY
const path = require('path');
const [folder, port, key] = process.argv.slice(2);
const Pusher = require(path.join(folder, 'pusher-js'));
const pusher = new Pusher(key, {
  cluster: 'none', wsHost: '127.0.0.1', wsPort: Number(port), forceTLS: false, enabledTransports: ['ws'], disableStats: true,
  channelAuthorization: { customHandler: (_, done) => done(null, { auth: `${key}:signature` }) },
});
const channel = pusher.subscribe('private-call-7');
for (const name of ['client-conferencing-call-requested-1124', 'client-conferencing-call-ended-1124']) {
  channel.bind(name, () => channel.trigger('client-done', {}));
}
