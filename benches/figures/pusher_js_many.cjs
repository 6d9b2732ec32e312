// The peer of reconnect.rs: many lines of pusher-js. Prints a line for every connection and every subscription.
// node pusher_js_many.cjs NPM_FOLDER PORT KEY SECRET COUNT
const path = require('path');
const { createHmac } = require('crypto');
const [folder, port, key, secret, count] = process.argv.slice(2);
const Pusher = require(path.join(folder, 'pusher-js'));
for (let n = 0; n < Number(count); n++) {
  const sign = ({ socketId, channelName }) => createHmac('sha256', secret).update(`${socketId}:${channelName}`).digest('hex');
  const pusher = new Pusher(key, {
    cluster: 'none', wsHost: '127.0.0.1', wsPort: Number(port), forceTLS: false, enabledTransports: ['ws'], disableStats: true,
    channelAuthorization: { customHandler: (asked, done) => done(null, { auth: `${key}:${sign(asked)}` }) },
  });
  pusher.connection.bind('connected', () => console.log('connected'));
  pusher.subscribe('private-call-7').bind('pusher:subscription_succeeded', () => console.log('subscribed'));
}
