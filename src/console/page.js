// The console's page. Everything that comes from the server is text: it becomes text nodes and
// attributes that hold text, never markup.
'use strict';

const $ = (id) => document.getElementById(id);

// node('p', {class: 'x'}, 'text', child …); what is empty is left out.
function node(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
  return element;
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function show(id, ...children) {
  $(id).replaceChildren(...children);
}

function table(titles, rows) {
  const head = node('tr', {}, ...titles.map((title) => node('th', {scope: 'col'}, title)));
  const line = (cells) => node('tr', {}, ...cells.map((cell) => node('td', {}, cell)));
  return node('table', {}, node('thead', {}, head), node('tbody', {}, ...rows.map(line)));
}

const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

function span(seconds) {
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  const total = Math.max(0, Math.round(seconds));
  const first = units.findIndex(([, size]) => total >= size);
  if (first < 0) return '0 s';
  const [unit, size] = units[first];
  const rest = units[first + 1];
  const more = rest && total < size * 10 ? Math.floor((total % size) / rest[1]) : 0;
  return `${Math.floor(total / size)} ${unit}${more ? ` ${more} ${rest[0]}` : ''}`;
}

const ago = (now, at) => (at >= now ? 'now' : `${span(now - at)} ago`);
const clock = (at) => new Date(at * 1000).toLocaleTimeString();

function duration(microseconds) {
  if (microseconds === null) return '–';
  const [value, unit] = microseconds < 1000 ? [microseconds, 'µs'] : [microseconds / 1000, 'ms'];
  return `${value < 100 ? value.toPrecision(2) : Math.round(value)} ${unit}`;
}

// ---- issuers ------------------------------------------------------------------------------

function issuer(now, it) {
  const planned = it.next_attempt_at;
  const facts = [
    ['product', it.product],
    ['keys from', it.location],
    ['confirmed', it.obtained_at === null ? 'never' : ago(now, it.obtained_at)],
    ['next refresh', planned === null ? '–' : planned <= now ? 'now' : `in ${span(planned - now)}`],
    ['usable for', it.usable_for === null ? '–' : span(it.usable_for)],
  ];
  const list = facts.flatMap(([name, value]) => [node('dt', {}, name), node('dd', {}, value)]);
  const keys = table(['kid', 'algorithms', 'key', 'first seen'], it.keys.map((key) => [
    node('code', {}, key.kid ?? '(none)'), key.algorithms.join(' '), key.kind, ago(now, key.first_seen),
  ]));
  const trouble = it.last_error && node('div', {class: 'trouble'},
    node('p', {}, `last attempt failed: ${it.last_error}`),
    it.remedy && node('p', {class: 'remedy'}, `fix: ${it.remedy}`));
  return node('article', {class: `issuer ${it.state}`, 'data-issuer': it.issuer},
    node('h3', {}, node('span', {class: 'badge'}, it.state), ' ', it.issuer),
    it.why && node('p', {}, it.why),
    trouble,
    node('dl', {}, ...list),
    node('details', it.keys.length <= 4 ? {open: ''} : {},
      node('summary', {}, plural(it.keys.length, 'key')), keys));
}

// ---- decisions ----------------------------------------------------------------------------

const APPROVALS = ['authenticated', 'anonymous', 'bypassed', 'auth_disabled'];

// Approvals are calm; each denial keeps its colour from one look to the next.
function color(code) {
  const approval = APPROVALS.indexOf(code);
  if (approval >= 0) return `c-good${approval}`;
  return `c-${[...code].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 8, 7)}`;
}

function plot(title, window) {
  const [width, height] = [720, 140];
  const codes = Object.entries(window.decisions).sort((a, b) => b[1] - a[1]);
  const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);
  const most = Math.max(1, ...window.points.map((point) => total(point.decisions)));
  const bar = width / window.moments;
  const first = window.moments - window.points.length;
  const bars = window.points.flatMap((point, index) => {
    let bottom = height;
    return codes.filter(([code]) => point.decisions[code]).map(([code]) => {
      const tall = (point.decisions[code] / most) * height;
      bottom -= tall;
      return svg('rect', {
        class: color(code), x: (first + index) * bar, y: bottom, width: Math.max(bar - 0.5, 0.5), height: tall,
      }, svg('title', {}, `${clock(point.at)} ${code}: ${point.decisions[code]}`));
    });
  });
  const all = total(window.decisions);
  const looks = window.cache_hits + window.cache_misses;
  const seconds = Math.max(1, window.points.length * window.every);
  const figures = [
    `${plural(all, 'decision')}, ${(all / seconds).toPrecision(2)} a second`,
    `cache ${looks ? Math.round((100 * window.cache_hits) / looks) : 0} % hits`,
    `p50 ${duration(window.p50)}, p99 ${duration(window.p99)}`,
  ].join('; ');
  return node('figure', {},
    node('figcaption', {}, node('strong', {}, title), ` ${figures}`),
    svg('svg', {
      viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${title}: ${figures}`, preserveAspectRatio: 'none',
    }, ...bars),
    node('ul', {class: 'legend'}, ...codes.map(([code, count]) => node('li', {},
      node('span', {class: `dot ${color(code)}`}), node('code', {}, code), ` ${count}`))));
}

// ---- everything ---------------------------------------------------------------------------

function denial(now, it) {
  const moment = new Date(it.at * 1000).toISOString();
  return [
    node('time', {datetime: moment, title: moment}, ago(now, it.at)),
    node('code', {}, it.reason),
    node('code', {}, `${it.method} ${it.path}`),
    it.issuer || '–',
    it.fault,
  ];
}

function render(state) {
  const now = state.now;
  $('readiness').className = state.ready ? 'good' : 'bad';
  $('readiness').textContent = state.ready ? `ready, since ${span(now - state.ready_since)}` : 'not ready';
  $('about').textContent = `version ${state.version}, started ${ago(now, state.started_at)}`;
  // What somebody opened or closed stays so.
  const touched = new Map([...document.querySelectorAll('.issuer')].map(
    (it) => [it.dataset.issuer, it.querySelector('details').open]));
  show('issuers', ...(state.issuers.length
    ? state.issuers.map((it) => issuer(now, it)) : [node('p', {}, 'No issuer is configured.')]));
  for (const it of document.querySelectorAll('.issuer')) {
    if (touched.has(it.dataset.issuer)) it.querySelector('details').open = touched.get(it.dataset.issuer);
  }
  show('decisions', plot('Last 15 minutes', state.decisions.minutes), plot('Last 24 hours', state.decisions.day));
  show('denials', state.denials.length
    ? table(['when', 'reason', 'request', 'issuer', 'what was wrong'], state.denials.map((it) => denial(now, it)))
    : node('p', {}, 'None so far.'));
  const {files, warnings, read_at, refused_at} = state.configuration;
  show('configuration',
    node('p', {}, files.length ? `${files.join(', ')}, read ${ago(now, read_at)}` : 'no file was read'),
    refused_at === null ? '' : node('p', {class: 'trouble'},
      `a newer one was refused ${ago(now, refused_at)}: doorward config check says why`),
    warnings.length
      ? node('ul', {}, ...warnings.map((warning) => node('li', {}, warning))) : node('p', {}, 'no warnings'));
}

let failures = 0;

async function look() {
  try {
    const answer = await fetch('/api/state');
    if (!answer.ok) throw new Error(await answer.text());
    render(await answer.json());
    failures = 0;
  } catch (error) {
    failures += 1;
    $('readiness').className = 'bad';
    $('readiness').textContent = `this page cannot reach Doorward (${failures}): ${error.message}`;
  }
  setTimeout(look, document.hidden ? 10000 : 2000);
}

// ---- explain ------------------------------------------------------------------------------

const MARKS = {pass: '✓', fail: '✗', not_reached: '·'};

function explanation(it) {
  const steps = it.steps.map((step) => node('li', {class: step.outcome, 'data-check': step.check},
    node('span', {class: 'mark', role: 'img', 'aria-label': step.outcome.replace('_', ' ')}, MARKS[step.outcome]),
    node('strong', {}, step.check.replaceAll('_', ' ')),
    step.expected && node('p', {}, `expected: ${step.expected}`),
    step.found && node('p', {}, `found: ${step.found}`),
    step.remedy && node('p', {class: 'remedy'}, `fix: ${step.remedy}`)));
  const headers = it.headers && node('div', {},
    node('h4', {}, 'Headers for the upstream'),
    table(['name', 'value'], Object.entries(it.headers.set).map(
      ([name, value]) => [node('code', {}, name), node('code', {}, value)])));
  const failed = it.steps.find((step) => step.outcome === 'fail');
  return node('div', {},
    node('p', {class: `verdict ${it.decision}`, id: 'verdict'}, `${it.decision}: ${it.reason} (${it.status})`),
    failed && node('div', {id: 'cause'},
      node('p', {}, `${failed.check.replaceAll('_', ' ')}: ${failed.found}`),
      failed.remedy && node('p', {class: 'remedy'}, `fix: ${failed.remedy}`)),
    node('ol', {class: 'steps'}, ...steps),
    headers,
    ...it.notes.map((note) => node('p', {class: 'note'}, note)));
}

async function ask(event) {
  event.preventDefault();
  const question = {};
  for (const name of ['token', 'method', 'path', 'host', 'mode', 'scopes', 'audience']) question[name] = $(name).value;
  show('answer', node('p', {}, 'asking …'));
  try {
    const answer = await fetch('/api/explain', {
      method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(question),
    });
    if (!answer.ok) throw new Error(await answer.text());
    show('answer', explanation(await answer.json()));
  } catch (error) {
    show('answer', node('p', {class: 'trouble'}, error.message));
  }
}

$('question').addEventListener('submit', ask);
$('token').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) $('question').requestSubmit();
});
look();
