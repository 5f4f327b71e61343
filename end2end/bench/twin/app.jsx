// The twin of the workspace's page: React, zustand and Socket.IO as their documentation shows them. Each row listens to its
// own document, what comes within a frame is put in at once, and of a long list only the rows near the screen are there.
import { memo, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { io } from "socket.io-client";
import { create } from "zustand";

/** Pixels of a row, and rows beyond each edge of the screen that are there too. */
const HEIGHT = 44;
const BEYOND = 25;

const useDocuments = create((set) => ({
  ids: [],
  byId: {},
  put: (rows) => set({ ids: rows.map(({ id }) => id), byId: Object.fromEntries(rows.map((row) => [row.id, row])) }),
  change: (rows) => set(({ byId }) => ({ byId: { ...byId, ...rows } })),
}));

const Row = memo(function Row({ id }) {
  const row = useDocuments(({ byId }) => byId[id]);
  return (
    <div className="doc-row" role="row" data-document-id={id} data-status={row.status}>
      <span role="cell">
        <a href={`/d/${id}`} title={row.filename}>
          {row.filename}
        </a>
      </span>
      <span role="cell" className={`badge badge-${row.status}`}>
        {row.status}
      </span>
      <span role="cell" className="doc-message" title={row.message}>
        {row.message}
      </span>
      <span role="cell">{row.size_bytes} bytes</span>
      <span role="cell">{row.created_at}</span>
      <progress max="100" value={row.progress} />
    </div>
  );
});

function Rows() {
  const ids = useDocuments(({ ids }) => ids);
  const [from, setFrom] = useState(0);
  useEffect(() => {
    const look = () => setFrom(Math.max(0, Math.floor(window.scrollY / HEIGHT / 10) * 10 - BEYOND));
    window.addEventListener("scroll", look, { passive: true });
    return () => window.removeEventListener("scroll", look);
  }, []);
  const to = Math.min(ids.length, from + Math.ceil(window.innerHeight / HEIGHT) + 2 * BEYOND);
  return (
    <div role="rowgroup">
      <div style={{ height: from * HEIGHT }} />
      {ids.slice(from, to).map((id) => (
        <Row key={id} id={id} />
      ))}
      <div style={{ height: (ids.length - to) * HEIGHT }} />
    </div>
  );
}

function App() {
  const [asked, setAsked] = useState("");
  return (
    <main>
      <h1>Outside</h1>
      <input type="search" aria-label="Search" value={asked} onChange={(event) => setAsked(event.target.value)} />
      <div className="doc-table" role="table">
        <Rows />
      </div>
    </main>
  );
}

const { put, change } = useDocuments.getState();
put(await (await fetch("/rows")).json());
let waiting = null;
io({ transports: ["websocket"] }).on("event", ({ data }) => {
  if (!waiting) {
    waiting = {};
    requestAnimationFrame(() => {
      change(waiting);
      waiting = null;
    });
  }
  waiting[data.id] = data;
});
createRoot(document.getElementById("root")).render(<App />);
