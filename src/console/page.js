// The console's page. Everything that comes from the server is text: it becomes text nodes and
// attributes that hold text, never markup.
'use strict';

const $ = (id) => document.getElementById(id);

// node('p', {class: 'x'}, 'text', child …); what is empty is left out.
function node(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== '' && child !== false));
  return element;
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Makes `old` look like `fresh` and leaves in place what is the same: somebody may have the focus
// there, or a selection. What people opened or closed stays so.
function settle(old, fresh) {
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return undefined;
  }
  for (const {name, value} of fresh.attributes) {
    if (name !== 'open' && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const name of old.getAttributeNames()) {
    if (name !== 'open' && !fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  const [now, next] = [[...old.childNodes], [...fresh.childNodes]];
  now.slice(next.length).forEach((child) => child.remove());
  next.forEach((child, index) => (index < now.length ? settle(now[index], child) : old.append(child)));
  return undefined;
}

function show(id, ...children) {
  const fresh = $(id).cloneNode(false);
  fresh.append(...children);
  settle($(id), fresh);
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

function issuer(now, it, isOpen) {
  const planned = it.next_attempt_at;
  const facts = [
    it.obtained_at === null ? 'keys never obtained' : `keys confirmed ${ago(now, it.obtained_at)}`,
    planned === null ? '' : `next refresh ${planned <= now ? 'now' : `in ${span(planned - now)}`}`,
    it.usable_for === null ? '' : `usable for ${span(it.usable_for)}`,
  ].filter(Boolean);
  const keys = table(['kid', 'algorithms', 'key', 'first seen'], it.keys.map((key) => [
    node('code', {}, key.kid ?? '(none)'), key.algorithms.join(' '), key.kind, ago(now, key.first_seen),
  ]));
  const trouble = it.last_error && node('div', {},
    node('p', {class: 'trouble'}, `last attempt failed: ${it.last_error}`),
    it.remedy && node('p', {class: 'remedy'}, `fix: ${it.remedy}`));
  return node('article', {class: `issuer ${it.state}`, 'data-issuer': it.issuer},
    node('h3', {}, node('span', {class: 'badge'}, it.state), ' ', it.issuer),
    it.why && node('p', {}, it.why),
    trouble,
    node('p', {}, `${it.product}, ${facts.join(', ')}`),
    node('details', isOpen && it.keys.length <= 4 ? {open: ''} : {},
      node('summary', {}, plural(it.keys.length, 'key')),
      node('p', {class: 'facts'}, `from ${it.location}`), keys));
}

const SEVERITY = ['down', 'stale', 'starting', 'ok'];
let articles = new Map();

// Trouble comes first. An issuer keeps its element wherever it moves.
function showIssuers(now, issuers) {
  const sorted = issuers.toSorted((a, b) => SEVERITY.indexOf(a.state) - SEVERITY.indexOf(b.state));
  articles = new Map(sorted.map((it) => {
    const [old, fresh] = [articles.get(it.issuer), issuer(now, it, issuers.length <= 3)];
    if (old) settle(old, fresh);
    return [it.issuer, old ?? fresh];
  }));
  const shown = issuers.length ? [...articles.values()] : [node('p', {}, 'No issuer is configured.')];
  const same = shown.length === $('issuers').children.length
    && shown.every((it, index) => it === $('issuers').children[index]);
  if (!same) $('issuers').replaceChildren(...shown);
}

// ---- policy -------------------------------------------------------------------------------

function policy(now, it) {
  const facts = [
    it.revision === null ? '' : `revision ${it.revision}`,
    it.confirmed_at === null ? '' : `confirmed ${ago(now, it.confirmed_at)}`,
  ].filter(Boolean);
  return node('article', {class: `issuer ${it.state}`, 'data-policy': it.provider},
    node('h3', {}, node('span', {class: 'badge'}, it.state), ` policy: ${it.provider}`),
    it.last_error && node('p', {class: 'trouble'}, `last attempt failed: ${it.last_error}`),
    node('p', {}, [`from ${it.source}`, ...facts].join(', ')));
}

// ---- decisions ----------------------------------------------------------------------------

const APPROVALS = ['authenticated', 'anonymous', 'bypassed', 'auth_disabled'];

// Approvals are calm; each denial keeps its colour from one look to the next.
function color(code) {
  const approval = APPROVALS.indexOf(code);
  if (approval >= 0) return `c-good${approval}`;
  return `c-${[...code].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 8, 7)}`;
}

const number = (value) => value.toLocaleString('en-US', {maximumFractionDigits: value < 10 ? 1 : 0});

function plot(title, window, uptime) {
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
  const seconds = Math.max(1, Math.min(window.points.length * window.every, uptime));
  const figures = [
    `${number(all)} decision${all === 1 ? '' : 's'}, ${number(all / seconds)} a second`,
    `cache ${looks ? Math.round((100 * window.cache_hits) / looks) : 0} % hits`,
    `p50 ${duration(window.p50)}, p99 ${duration(window.p99)}`,
  ].join('; ');
  return node('figure', {},
    node('figcaption', {}, node('strong', {}, `Last ${title}: `), figures),
    svg('svg', {
      viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Last ${title}: ${figures}`, preserveAspectRatio: 'none',
    }, ...bars),
    node('div', {class: 'axis'}, node('span', {}, `${title} ago`),
      all > 0 && node('span', {}, `highest: ${number(most)} in ${span(window.every)}`), node('span', {}, 'now')),
    node('ul', {class: 'legend'}, ...codes.map(([code, count]) => node('li', {},
      node('span', {class: `dot ${color(code)}`}), node('code', {}, code), ` ${number(count)}`))));
}

// ---- everything ---------------------------------------------------------------------------

function denial(now, it) {
  const moment = new Date(it.at * 1000).toISOString();
  return [
    node('time', {datetime: moment, title: moment}, ago(now, it.at)),
    node('code', {}, it.reason),
    node('code', {}, `${it.method} ${it.path}`),
    it.issuer,
    it.fault,
  ];
}

// Said anew only when it is new: some hear it.
function say(id, kind, text) {
  $(id).className = kind;
  if ($(id).textContent !== text) $(id).textContent = text;
}

// What somebody should look at first, if there is anything.
function showAttention({issuers, policy, configuration}) {
  const count = (state) => issuers.filter((it) => it.state === state).length;
  const [down, stale] = [count('down'), count('stale')];
  const parts = [
    down && `${plural(down, 'issuer')} down`,
    stale && `${plural(stale, 'issuer')} stale`,
    policy && ['down', 'stale'].includes(policy.state) && `policy ${policy.state}`,
    configuration.refused_at !== null && 'a newer configuration was refused',
    configuration.warnings.length && plural(configuration.warnings.length, 'warning'),
  ].filter(Boolean);
  say('attention', down || policy?.state === 'down' ? 'bad' : 'warn', parts.join(', '));
}

function render(state) {
  const now = state.now;
  say('readiness', state.ready ? 'good' : 'bad', state.ready ? 'ready' : 'not ready');
  const since = state.ready ? `ready since ${span(now - state.ready_since)}, ` : '';
  say('about', '', `${since}started ${ago(now, state.started_at)}, version ${state.version}`);
  showAttention(state);
  showIssuers(now, state.issuers);
  show('policy', ...(state.policy ? [policy(now, state.policy)] : []));
  const uptime = now - state.started_at;
  const {minutes, day} = state.decisions;
  show('decisions', plot('15 minutes', minutes, uptime), plot('24 hours', day, uptime));
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

async function look() {
  try {
    // Who does not answer is not there, and what is shown is old.
    const answer = await fetch('/api/state', {signal: AbortSignal.timeout(5000)});
    if (!answer.ok) throw new Error(await answer.text());
    render(await answer.json());
    document.body.className = '';
  } catch (error) {
    // What is below was so when it was seen last.
    document.body.className = 'cut-off';
    say('readiness', 'bad', `this page cannot reach Doorward: ${error.message}`);
  }
  setTimeout(look, document.hidden ? 10000 : 2000);
}

// ---- explain ------------------------------------------------------------------------------

const MARKS = {pass: '✓', fail: '✗', not_reached: '·'};
const named = (step) => step.check.replaceAll('_', ' ');
const mark = (step) => node('span',
  {class: 'mark', role: 'img', 'aria-label': step.outcome.replace('_', ' ')}, MARKS[step.outcome]);

function details(step) {
  return [
    step.expected && node('p', {}, `expected: ${step.expected}`),
    step.found && node('p', {}, `found: ${step.found}`),
    step.remedy && node('p', {class: 'remedy'}, `fix: ${step.remedy}`),
  ];
}

// The cause first, then what the upstream would get, then every check for who wants to know.
function explanation(it) {
  const failed = it.steps.find((step) => step.outcome === 'fail');
  const headers = it.headers && node('div', {},
    node('h4', {}, 'Headers for the upstream'),
    table(['name', 'value'], Object.entries(it.headers.set).map(
      ([name, value]) => [node('code', {}, name), node('code', {}, value)])));
  const glance = it.steps.map((step) => node('span', {class: step.outcome}, mark(step), named(step)));
  const steps = it.steps.map((step) => node('li', {class: step.outcome, 'data-check': step.check},
    mark(step), node('strong', {}, named(step)), ...details(step)));
  return [
    failed && node('div', {id: 'cause'}, node('strong', {}, named(failed)), ...details(failed)),
    headers,
    ...it.notes.map((note) => node('p', {class: 'note'}, note)),
    node('p', {class: 'checks'}, ...glance),
    node('details', {}, node('summary', {}, 'Every check in full'), node('ol', {class: 'steps'}, ...steps)),
  ].filter(Boolean);
}

async function ask(event) {
  event.preventDefault();
  const question = {};
  for (const name of ['token', 'method', 'path', 'host', 'mode', 'scopes', 'audience']) question[name] = $(name).value;
  say('verdict', '', 'asking …');
  $('answer').replaceChildren();
  try {
    const answer = await fetch('/api/explain', {
      method: 'POST', headers: {'content-type': 'application/json'}, body: JSON.stringify(question),
      signal: AbortSignal.timeout(15000),
    });
    if (!answer.ok) throw new Error(await answer.text());
    const told = await answer.json();
    $('answer').replaceChildren(...explanation(told));
    say('verdict', told.decision, `${told.decision}: ${told.reason} (${told.status})`);
  } catch (error) {
    say('verdict', 'bad', error.message);
  }
}

$('question').addEventListener('submit', ask);
// A token has no second line.
$('token').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.isComposing) return;
  event.preventDefault();
  $('question').requestSubmit();
});
look();
