"use strict";
// The database: a copy in the memory of a worker, which every view queries.

const ANSWER_LIMIT = { rows: 100_000, size: 64 * 2 ** 20 }; // rows of an answer, and bytes of all values

let worker = null;
let opening = null; // the promise of an open database
let lastId = 0;
const questions = new Map(); // {resolve, reject} by id of the message
const scripts = new Map(); // promises by path

function loadScript(path) {
  if (!scripts.has(path)) {
    scripts.set(path, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = path;
      script.onload = resolve;
      script.onerror = () => {
        scripts.delete(path); // the next call tries again
        reject(new Error(`${path} could not be loaded`));
      };
      document.head.append(script);
    }));
  }
  return scripts.get(path);
}

function askWorker(message) {
  return new Promise((resolve, reject) => {
    lastId += 1;
    questions.set(lastId, { resolve, reject });
    worker.postMessage({ ...message, id: lastId });
  });
}

function receiveAnswer({ data: { id, error, broken, ...answer } }) {
  const question = questions.get(id);
  questions.delete(id);
  if (broken) endWorker(error);
  if (error === undefined) question?.resolve(answer);
  else question?.reject(new Error(error));
}

function endWorker(reason) {
  worker?.terminate();
  worker = opening = null;
  for (const { reject } of questions.values()) reject(new Error(reason));
  questions.clear();
}

async function startWorker() {
  await Promise.all([loadScript("sqljs.js"), window.lcmaDatabase ?? loadScript("database.js")]);
  const { sqljs, worker: source, wasm } = window.lcmaSqljs;
  const path = URL.createObjectURL(new Blob([sqljs, "\n", source], { type: "text/javascript" }));
  worker = new Worker(path);
  worker.onmessage = receiveAnswer;
  worker.onerror = (event) => {
    event.preventDefault();
    endWorker(event.message || "the database could not be opened");
  };
  try {
    await askWorker({ wasm, content: window.lcmaDatabase });
  } finally {
    URL.revokeObjectURL(path);
  }
}

function openDatabase() {
  opening ??= startWorker().catch((error) => {
    endWorker(error.message);
    throw error;
  });
  return opening;
}

// Returns the names of columns, rows as arrays, and whether these are all rows (`whole`).
async function query(sql, values = [], limit = ANSWER_LIMIT) {
  await openDatabase();
  return askWorker({ sql, values, ...limit });
}

// Returns rows as objects.
async function select(sql, values = []) {
  const { columns, rows } = await query(sql, values);
  return rows.map((row) => Object.fromEntries(columns.map((name, k) => [name, row[k]])));
}

async function readDatabaseFile() {
  if (!window.lcmaDatabase) await loadScript("database.js");
  const packed = Uint8Array.from(atob(window.lcmaDatabase), (character) => character.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
}

// A value as an SQL literal, for queries that readers see.
const literal = (value) =>
  value === null ? "NULL" : typeof value === "number" ? String(value) : `'${String(value).replaceAll("'", "''")}'`;
const equals = (column, value) => `${column} ${value === null ? "IS NULL" : `= ${literal(value)}`}`;
