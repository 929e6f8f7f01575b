// Runs a view of LuCI without LuCI, and prints what it made as JSON: node luci.js VIEW STATUS CONFIGURATION CLICK..., where
// CONFIGURATION is what /etc/config/sixfold has: the sections of each type.
// Of a form: its sections with their options. Of the status view: its words, after each CLICK was done, which is the label of a
// button and how many others with that label there are before it (Next:1). STATUS is what the relay tells, of which the view
// gets the rows that it asks for; each CLICK goes on to the next line of it, if there is one.
'use strict';
const fs = require('fs');

const [, , file, status, configuration, ...clicks] = process.argv;
const configured = JSON.parse(configuration);
let loaded = false;
const sections = [];

class Option {
  constructor(kind, name) { Object.assign(this, { kind, name, values: [] }); }
  value(value) { this.values.push(value); }
}
class Section {
  constructor(kind, type, name) { Object.assign(this, { kind, type, name, options: [] }); }
  option(kind, name, title) {
    if (!title) throw new Error(`${name} has no title`);
    const option = new Option(kind, name);
    this.options.push(option);
    return option;
  }
}
class FormMap {
  constructor(config) { if (config !== 'sixfold') throw new Error(config); }
  section(kind, ...names) {
    const section = kind === 'NamedSection' ? new Section(kind, names[1], names[0]) : new Section(kind, names[0]);
    sections.push(section);
    return section;
  }
  render() { return Promise.resolve('form'); }
}
const kinds = ['Flag', 'ListValue', 'Value', 'DynamicList', 'NamedSection', 'TypedSection'];
const form = Object.fromEntries(kinds.map((kind) => [kind, kind]));
form.Map = FormMap;

const statuses = status.split('\n');
let words = [];
let buttons = [];

// Of LuCI's own, what is used.
String.prototype.format = function (...values) {
  return this.replace(/%[ds]/g, () => String(values.shift()));
};

function E(tag, attributes, children) {
  if (!Array.isArray(children)) throw new Error(`<${tag}>: a bare child is taken for markup: ${children}`);
  if (attributes.title) words.push(attributes.title);
  for (const child of children) {
    if (typeof child === 'string') words.push(child);
    else if (!child || !child.tag) throw new Error(`<${tag}>: neither text nor element: ${child}`);
  }
  if (attributes.click) buttons.push({ label: children[0], press: attributes.click, is_off: attributes.disabled != null });
  return { tag, replaceChildren() {} };
}

async function click(which) {
  const [label, before] = which.split(':');
  const found = buttons.filter((button) => button.label === label)[Number(before ?? 0)];
  if (!found || found.is_off) throw new Error(`${which} cannot be clicked`);
  [words, buttons] = [[], []];
  if (statuses.length > 1) statuses.shift();
  await found.press();
}

// What the relay would answer to this command line.
function answer(args) {
  const after = (name) => Number(args[args.indexOf(name) + 1]);
  const all = JSON.parse(statuses[0]);
  const part = (rows, skip) => rows.slice(after(skip), after(skip) + after('--limit'));
  return JSON.stringify({ ...all, transfers: part(all.transfers, '--skip'), images: part(all.images, '--skip-images') });
}

const stubs = {
  form,
  E,
  _: (text) => text,
  view: { extend: (view) => view },
  widgets: { NetworkSelect: 'NetworkSelect' },
  fs: {
    exec(program, args) {
      words.push(`EXEC ${[program, ...args].join(' ')}`);
      return Promise.resolve({ code: 0, stdout: answer(args) });
    },
  },
  poll: { add() {} },
  uci: {
    load() {
      loaded = true;
      return Promise.resolve();
    },
    sections(file, type) {
      if (!loaded) throw new Error(`${file} was not loaded`);
      return configured[type] ?? [];
    },
  },
};
const view = new Function(...Object.keys(stubs), fs.readFileSync(file, 'utf8'))(...Object.values(stubs));
Promise.resolve(view.load ? view.load() : null)
  .then(() => view.render())
  .then(() => clicks.reduce((done, which) => done.then(() => click(which)), Promise.resolve()))
  .then(() => console.log(JSON.stringify({ sections, words })))
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
