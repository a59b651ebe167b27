"""The table of verbs: words → where the function lives, one line of help. COMMANDS.md is generated from it."""

from __future__ import annotations

GROUPS: dict[str, str] = {
    "connections": "The CRMs of this project.",
    "sandbox": "An embedded Salesforce org and HubSpot portal on this machine.",
    "mapping": "The admin's mapping files.",
    "kpis": "KPI definitions and values.",
    "plans": "Saved plans.",
    "dead-letters": "Records that did not get through.",
}

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("connector.cli.demo:demo", "The whole loop on the sandbox, start to end."),
    "init": ("connector.cli.init:init", "Create a project: connector.toml and mapping files."),
    "check": ("connector.cli.check:check", "Check settings, mappings, state and every connection."),
    "connections list": ("connector.cli.connections:list_connections", "Every connection and how it is."),
    "connections check": ("connector.cli.connections:check_connection", "Prove one connection's credentials and rights."),
    "connections pause": ("connector.cli.connections:pause", "Stop pushes of a connection at once; pulls go on."),
    "connections resume": ("connector.cli.connections:resume", "Let a paused connection push again."),
    "sandbox up": ("connector.cli.sandbox:up", "Start the sandbox in the background."),
    "sandbox down": ("connector.cli.sandbox:down", "Stop the sandbox."),
    "sandbox seed": ("connector.cli.sandbox:seed", "Fill the sandbox again, from its own business or from CSV files."),
    "sandbox tick": ("connector.cli.sandbox:tick", "Let days pass in the sandbox's business."),
    "sandbox reset": ("connector.cli.sandbox:reset", "Back to the first day."),
    "discover": ("connector.cli.discover:discover", "What the CRM offers: fields, pipelines, stages."),
    "mapping check": ("connector.cli.mapping:check", "Check the mapping files, alone or against the live CRM."),
    "mapping show": ("connector.cli.mapping:show", "The stage map as the connector reads it."),
    "mapping schema": ("connector.cli.mapping:schema", "Write JSON Schemas for editors."),
    "preview": ("connector.cli.preview:preview", "One deal: record → canonical → KPIs → desired fields. Writes nothing."),
    "sync": ("connector.cli.sync:sync", "Pull, compute, plan and, if every guard allows, apply."),
    "run": ("connector.cli.run:run", "The scheduler: pulls and pushes by themselves until stopped."),
    "plan": ("connector.cli.plan:plan", "Compute what would change, deal by deal; writes nothing to the CRM."),
    "plans list": ("connector.cli.plan:list_plans", "Saved plans and what became of them."),
    "plans show": ("connector.cli.plan:show", "One saved plan."),
    "apply": ("connector.cli.apply:apply", "Write exactly a saved plan."),
    "kpis list": ("connector.cli.kpis:list_kpis", "Every KPI, and whether it can be computed here."),
    "kpis show": ("connector.cli.kpis:show", "One KPI's definition and values."),
    "kpis compute": ("connector.cli.kpis:compute", "Compute the KPIs switched on, from the state or from a file."),
    "explain": ("connector.cli.explain:explain", "Where a deal's scorecard values come from."),
    "status": ("connector.cli.status:status", "Each connection: last pull and push, calls, what waits."),
    "dead-letters list": ("connector.cli.dead_letters:list_letters", "Records that did not get through, and why."),
    "dead-letters show": ("connector.cli.dead_letters:show", "One dead letter."),
    "dead-letters retry": ("connector.cli.dead_letters:retry", "Try again on the next sync."),
    "dead-letters ignore": ("connector.cli.dead_letters:ignore", "Leave one alone until a date."),
}
