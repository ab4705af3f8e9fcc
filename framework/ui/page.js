// The page behind --framework-webui-url: shows what state.ts tells, as often as that changes. No library, nothing from elsewhere.

const $ = (selector) => document.querySelector(selector);

/** An element with text or children; text is never read as HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const cores = (amount) => `${Math.round(amount / 10) / 100} cores`;
const mebibytes = (amount) => `${Math.round(amount / 2 ** 20)} MiB`;
const open = new Set();
let state;

function bar(name, { total, pods, executor, offered }, text) {
  const rest = Math.max(0, total - pods - executor - offered);
  const words = `${name}: ${text(pods)} in pods, ${text(executor)} km itself, ${text(offered)} offered, ${text(rest)} elsewhere, of ${text(total)}`;
  const parts = Object.entries({ pods, executor, offered }).map(([kind, amount]) => {
    const part = make('span', { class: kind });
    part.style.width = `${total > 0 ? (100 * amount) / total : 0}%`;
    return part;
  });
  return make(
    'span',
    { title: words },
    `${name} ${text(pods + executor)} of ${text(total)}`,
    make('span', { class: 'bar', role: 'img', 'aria-label': words }, ...parts),
  );
}

function nodeRow({ name, why, attributes, cpu, memory, pods }) {
  const about = why ?? [`${pods.length} pods`, ...attributes].join(' · ');
  const row = make(
    'details',
    { class: 'node' },
    make(
      'summary',
      {},
      make('span', {}, make('strong', {}, name), make('small', why ? { class: 'gone' } : {}, about)),
      bar('cpu', cpu, cores),
      bar('memory', memory, mebibytes),
    ),
    make(
      'ul',
      {},
      ...pods.map((pod) => make('li', {}, `${pod.name} – ${pod.phase}, ${cores(pod.cpu)}, ${mebibytes(pod.memory)}`)),
    ),
  );
  row.open = open.has(name);
  row.addEventListener('toggle', () => (row.open ? open.add(name) : open.delete(name)));
  return row;
}

function fill(selector, rows) {
  $(selector).replaceChildren(...rows);
  const section = $(selector).closest('section');
  section.querySelector('.none').hidden = rows.length > 0;
  const table = section.querySelector('table');
  if (table) table.hidden = rows.length === 0;
}

const cells = (...texts) => make('tr', {}, ...texts.map((text) => make('td', {}, text)));

function show() {
  if (!state) return;
  const wanted = $('#filter').value.trim().toLowerCase();
  const has = (...texts) => texts.some((text) => text.toLowerCase().includes(wanted));
  const nodes = state.nodes.filter(({ name, pods }) => has(name, ...pods.map((pod) => pod.name)));
  const waiting = state.waiting.filter(({ pod, why }) => has(pod, why));
  const count = state.nodes.reduce((sum, { pods }) => sum + pods.length, 0);
  $('#name').textContent = state.framework;
  $('#summary').textContent =
    `${state.nodes.length} nodes, ${count} pods, ${state.waiting.length} waiting` +
    (state.subscribed ? '' : ' – no connection to a Mesos master');
  // Whoever walks with the keyboard stays where he is.
  const focused = document.activeElement?.closest('.node')?.querySelector('strong')?.textContent;
  fill(
    '#waiting tbody',
    waiting.map(({ pod, why }) => cells(pod, why)),
  );
  fill('#nodes', nodes.map(nodeRow));
  fill(
    '#launches tbody',
    state.launches.map(({ at, pod, agent, said, ms }) =>
      cells(new Date(at).toLocaleTimeString(), pod, agent, said ?? 'none yet', ms === undefined ? '' : `${ms} ms`),
    ),
  );
  if (focused)
    for (const row of document.querySelectorAll('.node'))
      if (row.querySelector('strong').textContent === focused) row.querySelector('summary').focus();
}

$('#filter').addEventListener('input', show);
const source = new EventSource('state');
source.addEventListener('message', ({ data }) => {
  document.body.classList.remove('stale');
  state = JSON.parse(data);
  show();
});
source.addEventListener('error', () => {
  document.body.classList.add('stale');
  $('#summary').textContent = 'This scheduler does not answer; trying again …';
});
