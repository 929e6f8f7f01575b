'use strict';
'require fs';
'require poll';
'require uci';
'require view';

// What the relay is doing, as `sixfold-relay status --json` has it. Children of E() are always lists: a bare string would be
// taken for markup.

const PROGRAM = '/usr/bin/sixfold-relay';
const SECONDS = 3;

function rate(bits) {
	if (bits < 1000) return `${bits} bit/s`;
	return bits < 1e6 ? `${(bits / 1e3).toFixed(1)} kbit/s` : `${(bits / 1e6).toFixed(1)} Mbit/s`;
}

const percent = (share) => `${(share * 100).toFixed(1)} %`;

function duration(seconds) {
	if (seconds === null) return '-';
	const whole = Math.round(seconds);
	return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

// LuCI's bar shows its title.
function bar(done, total) {
	if (!total) return [`${done} bytes`];
	const share = Math.floor((Math.min(done, total) * 100) / total);
	const fill = E('div', { 'style': `width:${share}%` }, []);
	return [E('div', { 'class': 'cbi-progressbar', 'title': `${share} %` }, [fill])];
}

function table(title, head, rows, none) {
	const line = (name, cells) => E('tr', { 'class': `tr ${name}` }, cells);
	const titles = line('table-titles', head.map((name) => E('th', { 'class': 'th' }, [name])));
	const body = rows.map((row) => line('', row.map((cell, column) =>
		E('td', { 'class': 'td', 'data-title': head[column] }, Array.isArray(cell) ? cell : [String(cell)]))));
	const empty = E('tr', { 'class': 'tr placeholder' }, [E('td', { 'class': 'td' }, [none])]);
	return E('div', { 'class': 'cbi-section' }, [
		E('h3', {}, [title]),
		E('table', { 'class': 'table' }, [titles].concat(body.length ? body : [empty])),
	]);
}

function describe(status) {
	const { totals, cache, origin } = status;
	return [
		E('p', {}, [`sixfold-relay ${status.version}: `, `${totals.devices} `, _('devices known'), `, ${totals.transfers_active} `,
			_('transfers under way'), `; ${cache.bytes} / ${cache.limit_bytes} `, _('bytes cached'), `; ${origin.bytes} `,
			_('bytes from origins')]),
		table(_('Devices'), [_('Device'), _('Image'), _('Progress'), _('Rate'), _('State'), _('Left')],
			status.transfers.map((t) => [t.peer, t.url ?? '-', bar(t.sent_bytes, t.total_bytes), rate(t.rate_bps), t.code ? `${t.state} ${t.code}` : t.state, duration(t.left_s)]),
			_('No device has asked for an image yet.')),
		table(_('Links'), [_('Link'), _('Rate'), _('Loss'), _('Queue'), _('Devices'), _('Busy')],
			status.links.map((l) => [l.interface, rate(l.rate_bps), percent(l.loss), l.queue, l.devices, percent(l.busy)]),
			_('No interface is paced.')),
		table(_('Images'), [_('Image'), _('State'), _('Here'), _('Fresh for')],
			status.images.map((i) => [i.url, i.failure ? `${i.state} (${i.failure})` : i.state, bar(i.available_bytes, i.total_bytes),
				duration(i.fresh_for_s)]),
			_('Nothing was asked for yet.')),
	];
}

function complain(error) {
	return [E('div', { 'class': 'alert-message warning' }, [
		_('The relay does not answer. Is the service enabled and started?'), ' ', String(error),
	])];
}

// Where the relay answers: what it was told in its configuration. Nowhere, if that is null.
function admin() {
	const sections = uci.sections('sixfold', 'admin');
	const listen = (sections.length && sections[0].listen) || '[::1]:9683';
	if (listen === 'off') return null;
	return `http://${listen.replace(/^\[::\]/, '[::1]').replace(/^0\.0\.0\.0/, '127.0.0.1')}`;
}

return view.extend({
	load: function() {
		return uci.load('sixfold');
	},

	refresh: function(place) {
		return fs.exec(PROGRAM, ['status', '--json', '--url', admin()])
			.then((answer) => {
				if (answer.code !== 0) throw new Error(answer.stderr);
				return describe(JSON.parse(answer.stdout));
			})
			.catch(complain)
			.then((nodes) => place.replaceChildren(...nodes));
	},

	render: function() {
		if (admin() === null) {
			return E('div', { 'class': 'cbi-map' }, [E('h2', {}, [_('Sixfold')]), E('div', { 'class': 'alert-message notice' }, [
				_('The relay was told to answer nowhere: under Metrics and status the address is "off". There is no status.'),
			])]);
		}
		const place = E('div', {}, []);
		poll.add(() => this.refresh(place), SECONDS);
		return this.refresh(place).then(() => E('div', { 'class': 'cbi-map' }, [E('h2', {}, [_('Sixfold')]), place]));
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
