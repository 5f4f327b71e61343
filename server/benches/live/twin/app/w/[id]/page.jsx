import { cookies } from "next/headers";
import { notFound } from "next/navigation";
import { personOf, workspacePage } from "./data.js";
import { Rows } from "./rows.jsx";

export const dynamic = "force-dynamic";

export default async function Page({ params }) {
  const token = (await cookies()).get("insighthub_session")?.value ?? "";
  const person = personOf(token);
  if (!person) notFound();
  const { id } = await params;
  const { workspaces, workspace, documents } = workspacePage(person.id, id);
  if (!workspace) notFound();
  const stats = [
    ["Documents", workspace.documents],
    ["Ready", workspace.ready],
    ["In work", workspace.processing],
    ["Failed", workspace.failed],
    ["Chunks", workspace.chunks],
  ];
  return (
    <div className="shell">
      <nav aria-label="Workspaces">
        <a href="/">InsightHub</a>
        <ul>
          {workspaces.map((each) => (
            <li key={each.id} data-status={each.status}>
              <a href={`/w/${each.id}`}>{each.name}</a> <span>{each.documents}</span>
            </li>
          ))}
        </ul>
        <a href="/settings">{person.username}</a>
      </nav>
      <main>
        <header>
          <h1>{workspace.name}</h1>
          <span className="badge">{workspace.status}</span>
          <p>{workspace.description}</p>
          <a href={`/w/${id}/history`}>History</a>
          <a href={`/w/${id}/analytics`}>Analytics</a>
          <a href={`/w/${id}?edit`}>Edit</a>
          <a href={`/w/${id}/rag`}>RAG config</a>
        </header>
        <dl>
          {stats.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
        <form role="search">
          <input type="search" name="q" aria-label="Search in the documents" />
          <button>Search</button>
        </form>
        <Rows first={documents} />
      </main>
    </div>
  );
}
