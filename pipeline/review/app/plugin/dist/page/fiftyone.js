// The only module that touches FiftyOne's globals. They are not public API: each one that is
// needed is looked for at the start, and a missing one ends the start with its name.

export const PLUGIN = "@glipforge/review/";
export const BOXES = "boxes";
const ANSWER_MS = 60000;
const BUILT_IN = "@voxel51/operators/";
const NEEDED = {
  __foo__: ["Operator", "OperatorConfig", "registerOperator", "executeOperator", "types"],
  __fos__: [
    "nullableModalSampleId",
    "modalSample",
    "modalLooker",
    "selectedLabels",
    "useRefreshSample",
    "datasetId",
    "modalFilters",
    "filters",
    "view",
  ],
  recoil: ["useSetRecoilState"],
};

const jobs = new Map();
let tickets = 0;

export function checkGlobals() {
  for (const [name, parts] of Object.entries(NEEDED)) {
    if (!window[name]) throw new Error(`FiftyOne's global ${name} is missing`);
    for (const part of parts)
      if (!(part in window[name])) throw new Error(`FiftyOne's ${name}.${part} is missing`);
  }
}

// Run `work(ctx, hooks)` where FiftyOne gives its state and hooks: inside an operator.
// FiftyOne's state can stay unanswered for ever where an image changes meanwhile: then it is asked
// again.
export async function inPage(work, tries = 3) {
  for (let left = tries; ; left--) {
    try {
      return await once(work);
    } catch (error) {
      if (!error.unanswered || left <= 1) throw error;
    }
  }
}

function once(work) {
  return new Promise((resolve, reject) => {
    const ticket = ++tickets;
    jobs.set(ticket, { work, resolve, reject });
    window.__foo__.executeOperator(PLUGIN + "page_job", { ticket });
    setTimeout(() => {
      jobs.delete(ticket);
      const error = new Error("the App did not answer; reload the page");
      error.unanswered = true;
      reject(error);
    }, 2000);
  });
}

export function registerPageJob() {
  const foo = window.__foo__;
  class PageJob extends foo.Operator {
    get config() {
      return new foo.OperatorConfig({ name: "page_job", label: "Page job", unlisted: true });
    }
    useHooks() {
      return {
        refresh: window.__fos__.useRefreshSample(),
        setModalFilters: window.recoil.useSetRecoilState(window.__fos__.modalFilters),
        setFilters: window.recoil.useSetRecoilState(window.__fos__.filters),
      };
    }
    async execute(ctx) {
      const job = jobs.get(ctx.params.ticket);
      if (!job) return;
      jobs.delete(ctx.params.ticket);
      try {
        job.resolve(await job.work(ctx, ctx.hooks));
      } catch (error) {
        job.reject(error);
      }
    }
  }
  foo.registerOperator(PageJob, "@glipforge/review");
}

// Run a Python operator of the plugin; resolves to what it returns.
export function python(name, params) {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`no answer within ${ANSWER_MS / 1000} s; reload the page`));
    const timer = setTimeout(late, ANSWER_MS);
    window.__foo__.executeOperator(PLUGIN + name, params, {
      callback: (answer) => {
        clearTimeout(timer);
        if (answer && answer.error) reject(new Error(answer.errorMessage || answer.error));
        else resolve((answer && answer.result) || {});
      },
    });
  });
}

export const builtIn = (name, params) =>
  window.__foo__.executeOperator(BUILT_IN + name, params || {});

export const notify = (message, variant) =>
  builtIn("notify", { message, variant: variant || "info" });

export const modal = () => document.querySelector('[data-cy="modal"]');

// The form of an operator lies over everything.
export const formOpen = () => !!document.querySelector(".MuiDialog-root");

export const annotating = () =>
  !!(modal() && modal().querySelector('[data-cy="lighter-sample-renderer"]'));

// The label that Annotate mode edits: its form shows the id, the only 24 hex digits in the modal.
export function annotatedLabel() {
  if (!annotating()) return null;
  for (const node of modal().querySelectorAll("*")) {
    const text = node.childElementCount ? "" : (node.textContent || "").trim();
    if (/^[0-9a-f]{24}$/.test(text)) return text;
    if (node.tagName === "INPUT" && /^[0-9a-f]{24}$/.test(node.value || "")) return node.value;
  }
  return null;
}

const idOf = (label) => label._id || label.id;

// What the reviewer sees now; null where no image is open.
export function look() {
  return inPage(async (ctx) => {
    const fos = window.__fos__;
    const get = (atom) => ctx.state.snapshot.getPromise(atom);
    const sampleId = await get(fos.nullableModalSampleId);
    if (!sampleId) return null;
    const { sample } = await get(fos.modalSample);
    if ((sample._id || sample.id) !== sampleId) return null;
    const labels = ((sample[BOXES] || {}).detections || []).map((label) => ({
      ...label,
      _id: idOf(label),
    }));
    const known = new Set(labels.map((label) => label._id));
    const chosen = await get(fos.selectedLabels);
    const selected = [...chosen.values()]
      .filter((entry) => entry.field === BOXES && entry.sampleId === sampleId)
      .map((entry) => entry.labelId)
      .filter((id) => known.has(id));
    const strays = [...chosen.values()].length - selected.length;
    let visible = null;
    let looker = null;
    if (!annotating()) {
      looker = await get(fos.modalLooker);
      if (looker && looker.getCurrentSampleLabels)
        visible = looker
          .getCurrentSampleLabels()
          .filter((entry) => entry.field === BOXES)
          .map((entry) => entry.labelId);
    }
    const filters = await get(fos.modalFilters);
    const annotated = annotatedLabel();
    return { sampleId, sample, labels, selected, strays, visible, annotated, looker, filters };
  });
}

// Put what the server now holds into the open image: the page else shows, and later sends, old
// labels. Labels that the page does not have are not added: a filtered view stays filtered.
export function refresh(sampleId, stored, lastModified) {
  return inPage(async (ctx, hooks) => {
    const fos = window.__fos__;
    const open = await ctx.state.snapshot.getPromise(fos.nullableModalSampleId);
    if (open !== sampleId) return false;
    const { sample } = await ctx.state.snapshot.getPromise(fos.modalSample);
    const copy = JSON.parse(JSON.stringify(sample));
    const boxes = copy[BOXES];
    if (boxes && boxes.detections)
      boxes.detections = boxes.detections
        .filter((label) => idOf(label) in stored.labels)
        .map((label) => ({ ...label, ...stored.labels[idOf(label)] }));
    Object.assign(copy, stored.fields || {});
    copy.last_modified_at = { _cls: "DateTime", datetime: lastModified };
    hooks.refresh(copy);
    return true;
  });
}
