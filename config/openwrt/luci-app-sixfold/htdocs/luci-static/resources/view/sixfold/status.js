'use strict';
'require fs';
'require poll';
'require uci';
'require view';

// What the relay is doing, as `sixfold-relay status --json` has it. Children of E() are always lists: a bare string would be
// taken for markup.

const PROGRAM = '/usr/bin/sixfold-relay';
const SECONDS = 3;
// Of each table at once. A hundred devices and images are some 40 KB; rpcd passes 256 KiB on, and no more. The rights name this number.
const ROWS = 100;

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

// The way to the rows that are not shown; nothing where all are. `turn` is told which row is to be the first.
function pages(first, shown, total, turn) {
	if (first === 0 && shown >= total) return [];
	const button = (label, to, leads) => E('button', {
		'class': 'btn', 'type': 'button', 'disabled': leads ? null : '', 'click': () => turn(to),
	}, [label]);
	return [E('p', {}, [
		button(_('Previous'), Math.max(first - ROWS, 0), first > 0), ' ',
		_('%d–%d of %d').format(Math.min(first + 1, total), first + shown, total), ' ',
		button(_('Next'), first + ROWS, first + shown < total),
	])];
}

function table(title, head, rows, none, more) {
	const line = (name, cells) => E('tr', { 'class': `tr ${name}` }, cells);
	const titles = line('table-titles', head.map((name) => E('th', { 'class': 'th' }, [name])));
	const body = rows.map((row) => line('', row.map((cell, column) =>
		E('td', { 'class': 'td', 'data-title': head[column] }, Array.isArray(cell) ? cell : [String(cell)]))));
	const empty = E('tr', { 'class': 'tr placeholder' }, [E('td', { 'class': 'td' }, [none])]);
	return E('div', { 'class': 'cbi-section' }, [
		E('h3', {}, [title]),
		E('table', { 'class': 'table' }, [titles].concat(body.length ? body : [empty])),
	].concat(more ?? []));
}

// What has to be known of interfaces, if there are any.
const about = (interfaces, words) => (interfaces.length ? [E('p', {}, [words.format(interfaces.join(', '))])] : []);

// How many rows of devices there are: one that fetches several things has several.
const devices = (status) => Object.values(status.totals.states).reduce((sum, count) => sum + count, 0);

// `first` has the first row of each table, and `turn` is told of a table and its new one.
function describe(status, first, turn) {
	const { totals, cache, origin } = status;
	return [
		E('p', {}, [_('sixfold-relay %s: %d devices known, %d transfers under way; %s of %s bytes cached; %s bytes from origins')
			.format(status.version, totals.devices, totals.transfers_active, cache.bytes, cache.limit_bytes, origin.bytes)]),
		table(_('Devices'), [_('Device'), _('Image'), _('Progress'), _('Rate'), _('State'), _('Left')],
			status.transfers.map((t) => [t.peer, t.url ?? '-', bar(t.sent_bytes, t.total_bytes), rate(t.rate_bps),
				t.code ? `${t.state} ${t.code}` : t.state, duration(t.left_s)]),
			_('No device has asked for an image yet.'),
			pages(first.devices, status.transfers.length, devices(status), (row) => turn('devices', row))),
		table(_('Links'), [_('Link'), _('Rate'), _('Loss'), _('Queue'), _('Devices'), _('Busy')],
			status.links.map((l) => [l.interface, rate(l.rate_bps), percent(l.loss), l.queue, l.devices, percent(l.busy)]),
			_('No interface is paced.'),
			about(status.absent, _('Not there: %s')).concat(about(status.unpaced, _('Served, and not paced: %s')))),
		table(_('Images'), [_('Image'), _('State'), _('Here'), _('Fresh for')],
			status.images.map((i) => [i.url, i.failure ? `${i.state} (${i.failure})` : i.state, bar(i.available_bytes, i.total_bytes),
				duration(i.fresh_for_s)]),
			_('Nothing was asked for yet.'),
			pages(first.images, status.images.length, totals.images, (row) => turn('images', row))),
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

	// The first row that is shown of each table.
	first: { devices: 0, images: 0 },

	refresh: function(place) {
		const first = this.first;
		const turn = (table, row) => {
			this.first = { ...this.first, [table]: row };
			return this.refresh(place);
		};
		return fs.exec(PROGRAM, ['status', '--json', '--limit', String(ROWS), '--skip', String(first.devices),
			'--skip-images', String(first.images), '--url', admin()])
			.then((answer) => {
				// Somebody turned a page in the meantime: that answer is yet to come.
				if (first !== this.first) return null;
				if (answer.code !== 0) throw new Error(answer.stderr);
				const status = JSON.parse(answer.stdout);
				// What is remembered no more may have been the last page.
				if (first.devices && first.devices >= devices(status)) return turn('devices', 0);
				if (first.images && first.images >= status.totals.images) return turn('images', 0);
				return place.replaceChildren(...describe(status, first, turn));
			})
			.catch((error) => place.replaceChildren(...complain(error)));
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
