"use client";

import { useState } from "react";

/** The table: on the client, since its rows would change as news come. */
export function Rows({ first }) {
  const [documents] = useState(first);
  return (
    <section aria-label="Documents">
      <div className="doc-table" role="table" aria-label="Documents">
        <div className="doc-row doc-head" role="row">
          {["Type", "Name", "Status", "What happens", "Size", "Added", "Actions"].map((name) => (
            <span key={name} role="columnheader">
              {name}
            </span>
          ))}
        </div>
        <div role="rowgroup">
          {documents.map((each) => (
            <Row key={each.id} document={each} />
          ))}
        </div>
      </div>
    </section>
  );
}

function Row({ document }) {
  const { id, filename, mime_type, size_bytes, status, progress, created_at } = document;
  const added = new Date(created_at / 1000);
  return (
    <div className="doc-row" role="row" data-document-id={id} data-status={status}>
      <span className="doc-icon" role="cell">
        <svg width="20" height="20" aria-label={mime_type}>
          <path d="M5 2h7l4 4v12H5z" />
        </svg>
      </span>
      <span className="doc-name" role="cell">
        <a href={`/d/${id}`} title={filename}>
          {filename}
        </a>
      </span>
      <span className="doc-state" role="cell">
        <span className={`badge badge-${status}`}>{status}</span>
      </span>
      <span className="doc-message" role="cell" title={says(document)}>
        {says(document)}
      </span>
      <span className="doc-size" role="cell">
        {size_bytes} bytes
      </span>
      <span className="doc-when" role="cell">
        <time dateTime={added.toISOString()}>{added.toISOString().slice(0, 10)}</time>
      </span>
      <span className="doc-actions" role="cell"></span>
      <progress max="100" value={progress}></progress>
    </div>
  );
}

function says({ status, error, message, chunk_count }) {
  if (status === "failed") return error ?? "";
  if (status === "ready") return `${chunk_count} chunks`;
  return message ?? "";
}
