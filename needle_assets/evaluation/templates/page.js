// The report's questions as a table that can be searched and opened, and heatmaps to pick from.
// Tables are DataTables, pictures vega; here data is only handed to them. Whatever a model said
// is text: it goes through textContent or DataTable's own escaping, never into markup.

const NOTHING = "–";
const form = document.forms.picks;
const section = document.getElementById("questions");
const status = document.getElementById("status");

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", follow);
follow();

async function unpacked(id) {
  const packed = atob(document.getElementById(id).textContent.trim());
  const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

if (typeof DecompressionStream === "undefined") {
  status.textContent =
    "This browser cannot unpack the questions (it has no DecompressionStream). Open the page in " +
    "Chrome or Edge 80, Safari 16.4, Firefox 113 or later; the tables above need none of it.";
} else {
  const data = await unpacked("data");
  const get = (name, row) => {
    const column = data.columns[name];
    return Array.isArray(column) ? column[row] : (column.values[column.codes[row]] ?? null);
  };
  const table = questions(data, get);
  performance.mark("questions");
  await heatmaps(data.heatmaps, (picked) => pick(table, picked));
  performance.mark("heatmaps");
}

function number(value, decimals = 0) {
  if (value === null) return NOTHING;
  return value.toLocaleString("en", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function questions(data, get) {
  const escape = DataTable.util.escapeHtml;
  const text = (name, shown = (value) => value ?? "") => ({
    type: "string",
    className: "l",
    render: (row, type) => {
      const value = String(shown(get(name, row.at)));
      return type === "display" || type === "filter" ? escape(value) : value;
    },
  });
  const numeric = (name, decimals) => ({
    type: "num",
    searchable: false,
    render: (row, type) =>
      type === "display" ? number(get(name, row.at), decimals) : (get(name, row.at) ?? ""),
  });
  const found = {
    type: "string",
    visible: false,
    render: (row) =>
      escape(
        ["example_id", "bio_id", "needle", "answer", "reason", "request_hash"]
          .map((name) => get(name, row.at) ?? "")
          .join("\n"),
      ),
  };
  const table = new DataTable("#questions table", {
    data: Array.from({ length: data.rows }, (_, at) => ({ at })),
    columns: [
      {
        ...text("name"),
        createdCell: (cell, _, row) => {
          const button = element("button", get("name", row.at), "open");
          button.type = "button";
          button.setAttribute("aria-expanded", "false");
          cell.replaceChildren(button);
        },
      },
      { ...text("model"), className: "l model" },
      numeric("context_length"),
      numeric("depth"),
      text("outcome", (value) => value.replaceAll("_", " ")),
      numeric("score", 2),
      {
        type: "num",
        searchable: false,
        className: "l fields",
        render: (row, type) =>
          type === "display" ? "" : (get("right", row.at) ?? "").replaceAll("1", "").length,
        createdCell: (cell, _, row) => cell.replaceChildren(...wrongFields(data, get, row.at)),
      },
      numeric("prompt_tokens"),
      numeric("latency_s", 2),
      found,
    ].map((column) => ({ data: null, ...column })),
    order: [],
    autoWidth: false,
    pageLength: 25,
    lengthMenu: [10, 25, 100, 500],
    layout: { topStart: "info", topEnd: "search", bottomStart: "pageLength", bottomEnd: "paging" },
    language: {
      info: "_START_ to _END_ of _TOTAL_ questions",
      infoEmpty: "no questions",
      infoFiltered: "(of _MAX_ in all)",
      emptyTable: "no questions",
      zeroRecords: "no question is as picked",
      lengthMenu: "_MENU_ on a page",
      search: "Text",
      searchPlaceholder: "name, answer, text, id",
    },
  });
  table.on("click", "button.open", (event) => toggle(table, data, get, event.currentTarget));
  table.search.fixed("picks", (_, row) => picked(data, get, row.at));
  form.addEventListener("change", () => table.draw());
  form.addEventListener("reset", () => setTimeout(() => table.search("").draw()));
  form.hidden = false;
  section.hidden = false;
  table.draw();
  status.hidden = true;
  return table;
}

function picked(data, get, at) {
  const wanted = form.elements;
  const is = (name, select, read = String) =>
    !select.value || read(select.value) === get(name, at);
  return (
    is("model", wanted.model) &&
    is("context_length", wanted.context_length, Number) &&
    is("depth", wanted.depth, Number) &&
    is("kind", wanted.kind) &&
    is("outcome", wanted.outcome) &&
    errs(data, get, at, wanted.wrong.value, wanted.cause.value)
  );
}

function errs(data, get, at, field, cause) {
  const right = get("right", at);
  if (!field && !cause) return true;
  if (right === null) return false;
  if (field === "none") return !cause && !right.includes("0");
  const leaf = data.leaves.findIndex(([name]) => field === `leaf ${name}`);
  if (cause)
    return data.columns.errors[at].some(
      ([wrong, why]) => why === cause && (leaf < 0 || wrong === leaf),
    );
  return leaf < 0 ? right.includes("0") : right[leaf] === "0";
}

function pick(table, { model, context_length, depth }) {
  form.reset();
  const choose = (select, fits) => {
    select.value = [...select.options].find((option) => option.value && fits(option.value)).value;
  };
  choose(form.elements.model, (value) => value === model);
  choose(form.elements.context_length, (value) => Number(value) === context_length);
  choose(form.elements.depth, (value) => Number(value) === depth);
  choose(form.elements.kind, (value) => value === "sweep");
  table.search("").draw();
  document.getElementById("every").scrollIntoView();
  form.elements.model.focus({ preventScroll: true });
}

function causes(data, get, at) {
  return new Map(data.columns.errors[at].map(([leaf, ...found]) => [leaf, found]));
}

function wrongFields(data, get, at) {
  const right = get("right", at);
  if (right === null) return [element("span", "not asked", "quiet")];
  const wrong = [...right].flatMap((letter, leaf) => (letter === "0" ? [leaf] : []));
  if (!wrong.length) return [element("span", "all right", "chip right")];
  const known = causes(data, get, at);
  if (wrong.length === right.length && get("read", at) === null)
    return [element("span", `all ${right.length}`, "chip wrong")];
  return wrong.map((leaf) => {
    const chip = element("span", data.leaves[leaf][1], "chip wrong");
    if (known.has(leaf)) chip.append(" ", element("i", spoken(known.get(leaf)[0])));
    return chip;
  });
}

function spoken(word) {
  return word.replaceAll("_", " ");
}

function toggle(table, data, get, button) {
  const row = table.row(button.closest("tr"));
  const shown = row.child.isShown();
  if (shown) row.child.hide();
  else row.child(detail(data, get, row.data().at), "detail").show();
  button.setAttribute("aria-expanded", String(!shown));
}

function detail(data, get, at) {
  const made = document.getElementById("question").content.cloneNode(true).firstElementChild;
  const partition = `${get("context_length", at)}|${get("model", at)}`;
  const written = {
    kind: data.kinds[get("kind", at)],
    question: get("kind", at) === "floor" ? "nobody was asked" : get("question", at),
    partition,
    draw: number(get("draw", at)),
    place: get("depth", at) === null
      ? NOTHING
      : `${number(get("depth", at))} % planned, ${number(get("realised_depth", at), 1)} % real`,
    tokens: `${number(get("prompt_tokens", at))} in, ${number(get("cached_tokens", at))} of them ` +
      `cached, ${number(get("completion_tokens", at))} out`,
    cost: get("cost_usd", at) === null ? NOTHING : `$${Number(get("cost_usd", at).toPrecision(3))}`,
    latency: get("latency_s", at) === null ? NOTHING : `${number(get("latency_s", at), 2)} s`,
    attempts: number(get("attempts", at)) + (get("batched", at) ? ", batched" : ""),
    outcome: spoken(get("outcome", at)),
    after: after(get("after", at), get("question", at)),
  };
  for (const slot of made.querySelectorAll("[data-slot]")) {
    const name = slot.dataset.slot;
    const value = (name in written ? written[name] : get(name, at)) || null;
    slot.textContent = value ?? NOTHING;
    if (value === null && slot.dataset.optional !== undefined)
      slot.closest("[data-part]").remove();
  }
  const right = get("right", at);
  const body = made.querySelector("tbody");
  if (right === null) made.querySelector("[data-part=fields]").remove();
  else body.replaceChildren(...verdicts(data, get, at, right));
  return made;
}

function after(text, question) {
  // Near the end of a prompt the question itself is in what follows the needle.
  return (text?.endsWith(question) ? text.slice(0, -question.length).trimEnd() : text) || null;
}

function verdicts(data, get, at, right) {
  const known = causes(data, get, at);
  const read = get("read", at);
  return data.leaves.map(([, title], leaf) => {
    const fine = right[leaf] === "1";
    const row = document.createElement("tr");
    row.append(
      element("th", title, "l"),
      element("td", get("gold", at)[leaf], "l"),
      element("td", read?.[leaf] ?? NOTHING, "l"),
      element("td", fine ? "right" : why(known.get(leaf)), fine ? "l y" : "l n"),
    );
    row.firstElementChild.scope = "row";
    return row;
  });
}

function why(found) {
  if (!found) return "wrong";
  const [cause, source, offset, depth, luck] = found;
  if (!source) return spoken(cause);
  const away = `${number(Math.abs(offset))} tokens ${offset < 0 ? "before" : "after"} the needle`;
  const chance = luck ? "; the same stands in another haystack, so it may be luck" : "";
  return `${spoken(cause)}: taken from ${source}, ${away}, at ${number(depth)} %${chance}`;
}

async function heatmaps(specs, onPick) {
  for (const [place, [model, spec]] of Object.entries(specs).entries()) {
    const box = document.querySelectorAll("#heatmaps .heatmap")[place];
    const drawn = document.createElement("div");
    const { view } = await vegaEmbed(drawn, spec, {
      actions: false,
      ast: true,
      defaultStyle: false,
      renderer: "svg",
      tooltip: false,
    });
    view.addEventListener("click", (_, item) => {
      if (item?.datum?.context_length !== undefined) onPick({ ...item.datum, model });
    });
    box.replaceChildren(drawn);
  }
}
