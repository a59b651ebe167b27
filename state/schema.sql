-- Generated from the migrations by `python -m connector.state.schema`; a test compares. Do not edit.
CREATE TABLE accounts (
    connection VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    name VARCHAR,
    segment VARCHAR,
    territory VARCHAR,
    region VARCHAR,
    reference BOOLEAN,
    merged_into VARCHAR,
    deleted BOOLEAN NOT NULL, "key" VARCHAR, parent VARCHAR,
    PRIMARY KEY (connection, id)
);
CREATE TABLE activities (
    connection VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    opportunity VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    direction VARCHAR,
    topic VARCHAR,
    at DATETIME,
    "on" DATE,
    owner VARCHAR,
    contact VARCHAR,
    account VARCHAR,
    outcome VARCHAR,
    created_by VARCHAR,
    due_on DATE,
    completed_on DATE,
    participants JSON NOT NULL,
    deleted BOOLEAN NOT NULL, twin VARCHAR,
    PRIMARY KEY (connection, id, opportunity)
);
CREATE INDEX activities_by_opportunity ON activities (connection, opportunity);
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE alerts_told (
    channel VARCHAR NOT NULL,
    connection VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    over BOOLEAN NOT NULL,
    at DATETIME NOT NULL,
    content JSON NOT NULL,
    PRIMARY KEY (channel, connection, target, subject)
);
CREATE TABLE audit (
    seq INTEGER NOT NULL,
    at VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    detail TEXT NOT NULL,
    previous VARCHAR NOT NULL,
    hash VARCHAR NOT NULL, address VARCHAR,
    PRIMARY KEY (seq)
);
CREATE TABLE bookmarks (
    connection VARCHAR NOT NULL,
    stream VARCHAR NOT NULL,
    bookmark JSON NOT NULL,
    fingerprint VARCHAR,
    updated_at DATETIME NOT NULL,
    PRIMARY KEY (connection, stream)
);
CREATE TABLE breaches (
    connection VARCHAR NOT NULL,
    target VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    place INTEGER NOT NULL,
    content JSON NOT NULL,
    PRIMARY KEY (connection, target, subject)
);
CREATE TABLE calls (
    connection VARCHAR NOT NULL,
    slot DATETIME NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (connection, slot)
);
CREATE TABLE changes (
    connection VARCHAR NOT NULL,
    opportunity VARCHAR NOT NULL,
    field VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    value VARCHAR,
    at DATETIME NOT NULL,
    "by" VARCHAR,
    PRIMARY KEY (connection, opportunity, field, id)
);
CREATE TABLE connections (
    connection VARCHAR NOT NULL,
    org_id VARCHAR,
    checked_at DATETIME,
    latched_code VARCHAR,
    latched_message VARCHAR,
    latched_credential VARCHAR,
    latched_at DATETIME, time_zone VARCHAR,
    PRIMARY KEY (connection)
);
CREATE TABLE contact_roles (
    connection VARCHAR NOT NULL,
    opportunity VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    contact VARCHAR NOT NULL,
    role VARCHAR,
    persona VARCHAR,
    stance VARCHAR,
    "primary" BOOLEAN,
    added_on DATE,
    first_seen DATETIME,
    PRIMARY KEY (connection, opportunity, id)
);
CREATE TABLE contacts (
    connection VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    account VARCHAR,
    title VARCHAR,
    persona VARCHAR,
    stance VARCHAR,
    kol BOOLEAN,
    merged_into VARCHAR,
    deleted BOOLEAN NOT NULL, "key" VARCHAR,
    PRIMARY KEY (connection, id)
);
CREATE TABLE dead_letters (
    id INTEGER NOT NULL,
    connection VARCHAR NOT NULL,
    stream VARCHAR NOT NULL,
    record VARCHAR NOT NULL,
    code VARCHAR NOT NULL,
    field VARCHAR,
    message VARCHAR NOT NULL,
    run INTEGER,
    first_at DATETIME NOT NULL,
    last_at DATETIME NOT NULL,
    count INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    ignored_until DATETIME,
    reason VARCHAR, attempt VARCHAR, refusals INTEGER DEFAULT '0' NOT NULL, resolved_at DATETIME,
    PRIMARY KEY (id),
    CONSTRAINT one_dead_letter UNIQUE (connection, stream, record, code)
);
CREATE TABLE exchange_rates (
    connection VARCHAR NOT NULL,
    taken_at DATETIME NOT NULL,
    home VARCHAR NOT NULL,
    content JSON NOT NULL,
    PRIMARY KEY (connection)
);
CREATE TABLE gates (
    connection VARCHAR NOT NULL,
    opportunity VARCHAR NOT NULL,
    gate VARCHAR NOT NULL,
    opened_on DATE,
    decided_on DATE,
    result VARCHAR,
    required VARCHAR,
    dated_by VARCHAR NOT NULL,
    status VARCHAR,
    PRIMARY KEY (connection, opportunity, gate)
);
CREATE TABLE leads (
    connection VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    lead_source VARCHAR,
    mql_on DATE,
    sql_on DATE,
    sqo_on DATE,
    opportunity VARCHAR,
    merged_into VARCHAR,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (connection, id)
);
CREATE TABLE leases (
    connection VARCHAR NOT NULL,
    stream VARCHAR NOT NULL,
    owner VARCHAR,
    fence INTEGER NOT NULL,
    expires_at DATETIME NOT NULL,
    PRIMARY KEY (connection, stream)
);
CREATE TABLE line_items (
    connection VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    opportunity VARCHAR,
    product VARCHAR,
    family VARCHAR,
    quantity TEXT,
    amount TEXT,
    "on" DATE,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (connection, id)
);
CREATE TABLE observations (
    connection VARCHAR NOT NULL,
    opportunity VARCHAR NOT NULL,
    field VARCHAR NOT NULL,
    first_seen DATETIME NOT NULL,
    value VARCHAR,
    source VARCHAR NOT NULL,
    PRIMARY KEY (connection, opportunity, field, first_seen)
);
CREATE INDEX observations_by_field ON observations (connection, field, first_seen);
CREATE TABLE opportunities (
    connection VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    name VARCHAR,
    account VARCHAR,
    owner VARCHAR,
    native_pipeline VARCHAR,
    raw_stage VARCHAR,
    deal_type VARCHAR,
    amount TEXT,
    arr TEXT,
    capital_amount TEXT,
    projected_pull_through TEXT,
    currency VARCHAR,
    probability TEXT,
    created_at DATETIME,
    closes_on DATE,
    lead_source VARCHAR,
    product VARCHAR,
    has_next_step BOOLEAN,
    primary_contact BOOLEAN,
    lost_reason VARCHAR,
    contract_years TEXT,
    segment VARCHAR,
    territory VARCHAR,
    standard_terms BOOLEAN,
    baa BOOLEAN,
    proposal_sent_on DATE,
    loi_signed_on DATE,
    secq_received_on DATE,
    secq_returned_on DATE,
    legal_sent_on DATE,
    legal_signed_on DATE,
    baa_on DATE,
    pilot_started_on DATE,
    pilot_ended_on DATE,
    go_live_on DATE,
    first_order_on DATE,
    first_case_on DATE,
    cleared_on DATE,
    modified_at DATETIME,
    version VARCHAR,
    inputs_hash VARCHAR,
    observed JSON NOT NULL,
    merged_into VARCHAR,
    deleted BOOLEAN NOT NULL, dimensions JSON DEFAULT '{}' NOT NULL, "key" VARCHAR,
    PRIMARY KEY (connection, id)
);
CREATE TABLE owners (
    connection VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    name VARCHAR,
    active BOOLEAN NOT NULL,
    deleted BOOLEAN NOT NULL, "key" VARCHAR,
    PRIMARY KEY (connection, id)
);
CREATE TABLE pauses (
    connection VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    since DATETIME NOT NULL,
    PRIMARY KEY (connection)
);
CREATE TABLE plans (
    id VARCHAR NOT NULL,
    created_at DATETIME NOT NULL,
    as_of DATETIME,
    status VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    summary JSON,
    reason VARCHAR, decided_at DATETIME,
    PRIMARY KEY (id)
);
CREATE TABLE pull_findings (
    connection VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    code VARCHAR NOT NULL,
    severity VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    next VARCHAR,
    PRIMARY KEY (connection, number)
);
CREATE TABLE reconciliations (
    connection VARCHAR NOT NULL,
    stream VARCHAR NOT NULL,
    at DATETIME NOT NULL,
    live INTEGER NOT NULL,
    held INTEGER NOT NULL,
    gone INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    vanished INTEGER NOT NULL,
    examples JSON NOT NULL,
    PRIMARY KEY (connection, stream)
);
CREATE TABLE refresh_tokens (
    connection VARCHAR NOT NULL,
    token VARCHAR NOT NULL,
    initial VARCHAR NOT NULL,
    saved_at DATETIME NOT NULL,
    PRIMARY KEY (connection)
);
CREATE TABLE run_streams (
    run INTEGER NOT NULL,
    stream VARCHAR NOT NULL,
    complete BOOLEAN NOT NULL,
    pages INTEGER NOT NULL,
    records INTEGER NOT NULL,
    upserts INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    dead_letters INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    seconds FLOAT NOT NULL,
    PRIMARY KEY (run, stream)
);
CREATE TABLE runs (
    id INTEGER NOT NULL,
    connection VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    started_at DATETIME NOT NULL,
    ended_at DATETIME,
    "trigger" VARCHAR NOT NULL,
    as_of DATETIME,
    summary JSON,
    error_code VARCHAR,
    error_message VARCHAR,
    PRIMARY KEY (id)
);
CREATE INDEX runs_by_connection ON runs (connection, id);
CREATE TABLE schema_snapshots (
    connection VARCHAR NOT NULL,
    object VARCHAR NOT NULL,
    taken_at DATETIME NOT NULL,
    content JSON NOT NULL,
    PRIMARY KEY (connection, object)
);
CREATE TABLE scorecard_rows (
    connection VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    "key" VARCHAR,
    version VARCHAR,
    observed JSON NOT NULL,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (connection, id)
);
CREATE INDEX scorecard_rows_by_key ON scorecard_rows (connection, "key");
CREATE TABLE set_aside (
    connection VARCHAR NOT NULL,
    stream VARCHAR NOT NULL,
    record VARCHAR NOT NULL,
    PRIMARY KEY (connection, stream, record)
);
CREATE TABLE snapshots (
    connection VARCHAR NOT NULL,
    kpi VARCHAR NOT NULL,
    variant VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    window VARCHAR NOT NULL,
    "on" DATE NOT NULL,
    value FLOAT,
    ci_low FLOAT,
    ci_high FLOAT,
    n INTEGER,
    PRIMARY KEY (connection, kpi, variant, subject, window, "on")
);
CREATE TABLE tickets (
    connection VARCHAR NOT NULL,
    id VARCHAR NOT NULL,
    account VARCHAR,
    severity VARCHAR,
    opened_on DATE,
    merged_into VARCHAR,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (connection, id)
);
CREATE TABLE witnessed (
    name VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    at DATETIME NOT NULL,
    PRIMARY KEY (name)
);
CREATE TABLE writes (
    id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    "plan" VARCHAR NOT NULL,
    connection VARCHAR NOT NULL,
    object VARCHAR NOT NULL,
    record VARCHAR NOT NULL,
    field VARCHAR NOT NULL,
    "before" TEXT,
    "after" TEXT,
    status VARCHAR NOT NULL,
    code VARCHAR,
    message VARCHAR,
    at DATETIME NOT NULL,
    scrubbed BOOLEAN NOT NULL, grain VARCHAR DEFAULT 'opportunity' NOT NULL, action VARCHAR DEFAULT 'update' NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX writes_by_record ON writes (connection, record);
CREATE INDEX writes_by_run ON writes (run, connection, record);
