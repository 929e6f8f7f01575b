'use strict';
'require form';
'require uci';
'require view';
'require tools.widgets as widgets';

// The form of /etc/config/sixfold. Sections, options and types are those of the function know in /etc/init.d/sixfold; what a value
// means is told at length in /usr/share/sixfold/relay.toml, and judged by the relay when the service reloads.

const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];
const BLOCKS = ['16', '32', '64', '128', '256', '512', '1024'];

// Kinds of options: what a form needs to know beside name, title and help.
const flag = (on) => ({ kind: 'Flag', default: on });
const choice = (values, fallback) => ({ kind: 'ListValue', values, default: fallback });
const yesOrNo = { kind: 'ListValue', values: ['1', '0'], labels: { 1: _('yes'), 0: _('no') }, optional: true };
const text = (placeholder) => ({ kind: 'Value', placeholder });
const number = (datatype, placeholder) => ({ kind: 'Value', datatype, placeholder });
const list = (placeholder, fallback) => ({ kind: 'DynamicList', placeholder, default: fallback });

const SECTIONS = [
	['sixfold', _('Relay'), _('Fetches firmware once over HTTPS and feeds every device behind this router over CoAP.'), { name: 'main' }, [
		['enabled', _('Enabled'), _('The relay serves nobody until this is set and there is a route.'), flag('0')],
		['mdns', _('Announce'), _('By DNS-SD (_coap._udp), through umdns.'), flag('1')],
		['firewall', _('Close to the internet'), _('Drop CoAP from the zone wan, before any other rule.'), flag('1')],
	]],
	['listen', _('Devices'), _('Where devices reach the relay.'), { name: 'listen' }, [
		['coap', _('Addresses'), _('Address and port; the first port is announced. Members of groups ask at the second, which takes fewer bytes on the radio.'), list('[::]:5683', ['[::]:5683', '[::]:61616'])],
		['network', _('Network'), _('Serve the device of this network only. The relay starts when it is up.'), { kind: 'NetworkSelect', optional: true }],
		['interface', _('Device'), _('In place of a network: the name of a device, which may appear later.'), text('wpan0')],
		['block_size', _('Largest block'), _('In bytes. 64 fits one IEEE 802.15.4 frame.'), choice(BLOCKS, '1024')],
	]],
	['route', _('Routes'), _('A device that asks for something below the path gets it from the origin.'), { many: true }, [
		['path', _('Path'), '', text('/fw')],
		['origin', _('Origin'), _('A URL that ends with a slash.'), text('https://updates.example.com/firmware/')],
		['allow_http', _('Allow plain HTTP'), _('Anybody between origin and relay could change images.'), flag('0')],
		['ca_file', _('Trusted certificates'), _('A PEM file in place of those of the system.'), text('/etc/sixfold/ca.pem')],
		['client_cert_file', _('Client certificate'), _('A PEM file, if the origin wants to know who asks.'), text('/etc/sixfold/relay.pem')],
		['client_key_file', _('Its key'), '', text('/etc/sixfold/relay.key')],
		['require_session', _('Only in sessions'), _('If nothing is said: as [sessions] has it.'), yesOrNo],
		['max_age', _('Fresh for'), _('In place of what the origin says.'), text('5 min')],
		['stale_if_error', _('Served while the origin is away'), _('For so long after that.'), text('7 d')],
	]],
	['link', _('Links'), _('Slow interfaces that many devices share. TUN devices of border router agents have to be named here to be paced.'), { many: true }, [
		['interface', _('Device'), '', text('wpan0')],
		['bit_rate', _('Bits a second'), _('Within a frame.'), number('uinteger', '250000')],
		['frame', _('Longest frame'), _('In octets.'), number('range(64, 2047)', '127')],
		['min_be', _('Backoff exponent'), _('What this radio begins with (macMinBe).'), number('range(0, 8)', '3')],
		['mtu', _('Longest packet'), _('In bytes.'), number('range(128, 65535)', '1280')],
		['duty_cycle', _('Duty cycle'), _('How much of the time the relay may send, in percent.'), number('range(1, 100)', '100')],
		['algorithm', _('Time-outs'), _('How they are estimated.'), choice(['cocoa', 'fasor', 'rfc7252'], 'cocoa')],
		['fanout', _('Streams to groups'), _('Devices that can listen get an image once, together.'), flag('1')],
		['group', _('Group'), _('The multicast address of streams.'), text('ff02::fd')],
		['group_port', _('Its port'), '', number('range(1, 65535)', '61616')],
		['hop_limit', _('Hops'), _('How far a stream may go.'), number('range(1, 255)', '1')],
		['stream_block_size', _('Largest block of a stream'), _('In bytes.'), choice(['64', '128', '256', '512', '1024'], '64')],
		['repair', _('Repair'), _('How a stream makes up for losses.'), choice(['parity', 'blocks'], 'parity')],
	]],
	['proxy', _('Forward proxy'), _('Origins that devices may name themselves.'), {}, [
		['forward', _('URL prefixes'), '', list('https://updates.example.com/')],
		['allow_http', _('Allow plain HTTP'), '', flag('0')],
	]],
	['cache', _('Cache'), _('What is kept.'), {}, [
		['memory', _('Memory'), _('For all images.'), text('16 MiB')],
		['max_object', _('Largest image'), '', text('8 MiB')],
		['negative_ttl', _('Failures'), _('How long they are remembered.'), text('10 s')],
		['disk_path', _('Directory'), _('Images on disk outlive a restart. Flash wears out: name a disk, or nothing.'), text('/mnt/sda1/sixfold')],
		['disk_limit', _('Its limit'), '', text('64 MiB')],
	]],
	['origin', _('Origins'), _('Patience with them.'), {}, [
		['connect_timeout', _('To connect'), '', text('10 s')],
		['headers_timeout', _('For the header'), '', text('30 s')],
		['idle_timeout', _('For the next bytes'), '', text('30 s')],
		['retries', _('Further attempts'), '', number('uinteger', '4')],
		['retry_delay', _('First wait'), '', text('500 ms')],
		['max_retry_delay', _('Longest wait'), '', text('15 s')],
	]],
	['limits', _('Limits'), _('What one client, or all of them, may use.'), {}, [
		['client_rate', _('Requests a second of one client'), _('0 for no limit.'), number('uinteger', '1000')],
		['client_burst', _('At once'), '', number('uinteger', '2000')],
		['exchanges', _('Requests that wait'), '', number('uinteger', '4096')],
		['exchanges_per_client', _('Of one client'), '', number('uinteger', '16')],
		['observers', _('Observers'), '', number('uinteger', '1024')],
		['fetches', _('Fetches at the same time'), '', number('uinteger', '16')],
		['resources', _('Resources remembered'), '', number('uinteger', '1024')],
		['transfers', _('Devices remembered'), '', number('uinteger', '16384')],
		['patience', _('How long a request waits'), '', text('90 s')],
	]],
	['sessions', _('Sessions'), _('Where devices agree on keys (OSCORE) over TLS, with certificates on both sides.'), {}, [
		['listen', _('Address'), _('Address and TCP port; nothing closes it.'), text('[::]:9684')],
		['certificate', _('Certificate'), _('A PEM file, as the next ones.'), text('/etc/sixfold/relay.pem')],
		['key', _('Its key'), '', text('/etc/sixfold/relay.key')],
		['client_ca', _('Authorities of devices'), '', text('/etc/sixfold/devices.pem')],
		['client_crl', _('Their revocation lists'), '', text('/etc/sixfold/devices.crl')],
		['edhoc_key', _('Key for EDHOC'), _('Of the relay.'), text('/etc/sixfold/edhoc.key')],
		['edhoc_devices', _('Devices known by EDHOC'), '', text('/etc/sixfold/edhoc-devices.toml')],
		['lifetime', _('Lifetime of a session'), '', text('30 d')],
		['handshakes', _('Connections at the same time'), '', number('uinteger', '32')],
		['handshakes_per_client', _('Of one source'), '', number('uinteger', '4')],
		['handshake_rate', _('New ones of one source a second'), '', number('uinteger', '4')],
		['handshake_timeout', _('Time for a handshake'), '', text('30 s')],
		['limit', _('Sessions'), _('How many there may be.'), number('uinteger', '4096')],
		['store', _('File'), _('Sessions that outlive a restart. Flash wears out: name a file on a disk, in a directory of its own, or nothing.'), text('/mnt/sda1/sixfold/sessions')],
		['contexts', _('Contexts agreed beforehand'), '', text('/etc/sixfold/contexts.toml')],
		['allow_plain', _('Serve devices without a session'), '', flag('1')],
	]],
	['security', _('Security'), _('What the relay does for others than its devices.'), {}, [
		['echo', _('Proof of address'), _('Which source addresses have to be shown to be live before long answers go there.'), choice(['off', 'routed', 'always'], 'routed')],
	]],
	['resource_directory', _('Resource directory'), _('Registers the relay (RFC 9176) for devices that multicast does not reach.'), {}, [
		['uri', _('Directory'), '', text('coap://[2001:db8::5]')],
		['endpoint', _('Name of this relay'), _('Unique in the directory.'), text('router-1')],
		['lifetime', _('Lifetime'), _('How long the directory remembers a relay that is silent.'), text('1 h')],
		['base', _('Where devices reach it'), '', text('coap://[2001:db8:6::1]')],
	]],
	['admin', _('Metrics and status'), _('Changes wait for a restart of the service.'), {}, [
		['listen', _('Address'), _('"off" for none. The status page here asks there.'), text('[::1]:9683')],
		['hosts', _('Names'), _('By which it may be asked, beside localhost and addresses.'), list('relay.example.com')],
		['allow_remote', _('Allow other addresses than loopback'), _('There is no password: keep the firewall closed.'), flag('0')],
	]],
	['log', _('Log'), _('Changes wait for a restart of the service.'), {}, [
		['level', _('Level'), '', choice(LEVELS, 'info')],
		['format', _('Format'), '', choice(['text', 'json'], 'text')],
	]],
	['process', _('Process'), _('Changes wait for a restart of the service.'), {}, [
		['user', _('User'), _('Whom the relay becomes when it is started as root. The service starts it as one already.'), text('sixfold')],
		['sandbox', _('Sandbox'), _('Landlock and seccomp, as far as the kernel has them.'), flag('1')],
	]],
];

function addOption(section, [name, title, help, how]) {
	const kind = how.kind === 'NetworkSelect' ? widgets.NetworkSelect : form[how.kind];
	const option = section.option(kind, name, title, help);
	if (how.kind === 'NetworkSelect') option.nocreate = true;
	for (const value of how.values ?? []) option.value(value, how.labels?.[value]);
	if (how.optional) option.optional = true;
	if (how.default !== undefined) option.default = how.default;
	if (how.placeholder !== undefined) option.placeholder = how.placeholder;
	if (how.datatype !== undefined) option.datatype = how.datatype.replace(' ', '');
	// What is not said has the relay's default.
	option.rmempty = true;
}

// What the relay takes once is one section, which can be added while it is not there. One that was written by hand need not have a name.
function nameOf(type, shape) {
	const known = uci.sections('sixfold', type);
	return known.length ? known[0]['.name'] : shape.name ?? type;
}

function addSection(map, [type, title, help, shape, options]) {
	const section = shape.many
		? map.section(form.TypedSection, type, title, help)
		: map.section(form.NamedSection, nameOf(type, shape), type, title, help);
	section.anonymous = !!shape.many;
	section.addremove = !shape.name;
	options.forEach((option) => addOption(section, option));
}

return view.extend({
	load: function() {
		return uci.load('sixfold');
	},

	render: function() {
		const map = new form.Map('sixfold', _('Sixfold'),
			_('A change with a mistake is refused, and the relay serves on as before: see the system log, or run "service sixfold check".'));
		SECTIONS.forEach((section) => addSection(map, section));
		return map.render();
	}
});
