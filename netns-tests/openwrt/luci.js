// Runs a view of LuCI without LuCI, and prints what it made as JSON: node luci.js VIEW STATUS CONFIGURATION, which is what
// /etc/config/sixfold has: the sections of each type.
// Of a form: its sections with their options. Of the status view, which gets STATUS for what the relay answers: its words.
'use strict';
const fs = require('fs');

const [, , file, status, configuration] = process.argv;
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

const words = [];
function E(tag, attributes, children) {
  if (!Array.isArray(children)) throw new Error(`<${tag}>: a bare child is taken for markup: ${children}`);
  if (attributes.title) words.push(attributes.title);
  for (const child of children) {
    if (typeof child === 'string') words.push(child);
    else if (!child || !child.tag) throw new Error(`<${tag}>: neither text nor element: ${child}`);
  }
  return { tag, replaceChildren() {} };
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
      return Promise.resolve({ code: 0, stdout: status });
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
  .then(() => console.log(JSON.stringify({ sections, words })))
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
