-- Schemas, ops tables and grants of the warehouse, in their newest state. The owner runs this file at every start:
-- it makes what is missing, and replaces functions, comments and grants. What it can't change in a table that
-- an older home has already, a numbered file in perennial/upgrades/ changes first.
-- The roles themselves and their passwords are made by perennial/bootstrap.py.
--
-- role          raw           vault           staging to features   scores           reporting   ops
-- loader        insert, read  insert          -                     -                -           landing
-- transformer   read          -               owns                  read             owns        read; late dates
-- scorer        -             -               read                  insert, delete   -           publications, gates, drift, champions, parts
-- eraser        read, update  read, delete,   read;                 read, delete     -           read; erasures, and what they change
--                             expire          features: delete
-- bi_reader     -             -               -                     -                read        -
-- watcher       -             -               -                     -                -           incidents, alerts; which dates there are
-- reader_check  what bi_reader has, for checks of what readers find, over connections that readers can't take
-- reader_limit  what bi_reader has: it ends readers' sessions that are beyond their limits, and sets roles back
--               that changed themselves (perennial/warden.sql)
--
-- tests/integration/test_roles.py has the same by hand and tries it: a new table goes in there, too.

create schema if not exists raw;
create schema if not exists vault;
create schema if not exists scores;
create schema if not exists ops;
create schema if not exists staging authorization transformer;
create schema if not exists intermediate authorization transformer;
create schema if not exists marts authorization transformer;
create schema if not exists features authorization transformer;
create schema if not exists reporting authorization transformer;

revoke all on schema public from public;

-- ops: what happened ---------------------------------------------------------------------------

create table if not exists ops.landed_files (
    file_id bigint generated always as identity primary key,
    batch_id bigint not null,
    source text not null,
    table_name text not null,
    file_name text not null,
    content_sha256 text not null,
    byte_count bigint not null,
    record_count bigint not null,
    landed_count bigint not null,
    rejected_count bigint not null,
    first_line bigint not null,
    status text not null default 'held'
        check (status in ('held', 'accepted', 'refused', 'superseded')),
    status_reason text not null default 'waits for the gate',
    supersedes_file_id bigint references ops.landed_files,
    continues_file_id bigint references ops.landed_files,
    as_of_date date,
    run_id text not null,
    landed_at timestamptz not null default now(),
    column_names text[],
    check (landed_count + rejected_count = record_count)
);
comment on table ops.landed_files is
'Every file that was landed, one row per version of its content. Staging reads rows of accepted files only.';
comment on column ops.landed_files.file_id is 'Key; raw rows and rejected lines point here (_file_id).';
comment on column ops.landed_files.batch_id is 'Files landed together: accepted, held or refused as one.';
comment on column ops.landed_files.source is 'Folder in dbt_project/models/staging that knows its form.';
comment on column ops.landed_files.table_name is 'Table in raw that holds its rows.';
comment on column ops.landed_files.file_name is 'Absolute path, URL or table.';
comment on column ops.landed_files.content_sha256 is 'SHA-256 of the uncompressed content, whole file.';
comment on column ops.landed_files.byte_count is 'Length of the uncompressed content, bytes.';
comment on column ops.landed_files.record_count is
'Records given, counted independently of the reader; of a file that grew, the new ones.';
comment on column ops.landed_files.landed_count is 'Records that are rows in raw.';
comment on column ops.landed_files.rejected_count is 'Records that are rows in ops.rejected_lines.';
comment on column ops.landed_files.first_line is 'First line that this version landed; above 1 for a file that grew.';
comment on column ops.landed_files.status is
'held: waits for the gate or a person; accepted; refused; superseded: a newer version of the file was accepted.';
comment on column ops.landed_files.status_reason is 'Why it has that status, in words.';
comment on column ops.landed_files.supersedes_file_id is 'The version that this one replaces once it is accepted.';
comment on column ops.landed_files.continues_file_id is 'The version whose content this one begins with.';
comment on column ops.landed_files.as_of_date is 'Date of the run that landed it.';
comment on column ops.landed_files.run_id is 'Run that landed it.';
comment on column ops.landed_files.landed_at is 'When it was landed, UTC.';
comment on column ops.landed_files.column_names is
'The file''s columns as it names them: the next file''s are compared with them. Null: landed before they were kept.';
create sequence if not exists ops.batch_id_seq;
create index if not exists landed_files_by_name on ops.landed_files (source, table_name, file_name);

create table if not exists ops.shop (
    source text not null,
    time_zone text not null,
    currency text not null,
    bound_at timestamptz not null default now(),
    is_the_one boolean primary key default true check (is_the_one)
);
comment on table ops.shop is
'Whose orders these are, and how their times and money are read: one row. A build in another time zone is refused.';
comment on column ops.shop.source is 'SOURCE of the shop.';
comment on column ops.shop.time_zone is 'IANA name; days are the shop''s.';
comment on column ops.shop.currency is 'ISO 4217; the one currency of every amount.';
comment on column ops.shop.bound_at is 'When the warehouse was bound to it, UTC.';
comment on column ops.shop.is_the_one is 'Always true: there is one row.';

create table if not exists ops.questions (
    question text primary key,
    kind text not null,
    description text not null,
    needs text [] not null
);
comment on table ops.questions is 'The questions that this version of the code has, as their contracts describe them.';
comment on column ops.questions.question is 'Name.';
comment on column ops.questions.kind is 'predicts, describes, or rules: trains nothing.';
comment on column ops.questions.description is 'What it asks.';
comment on column ops.questions.needs is 'Tables that a shop may leave out and that the question can''t do without.';

-- Read with the owner's rights: every step may know what is offered, not every one which files there are. Made where it
-- is not: to replace it would wait for every reader of reporting.questions.
do $$ begin
    if to_regclass('ops.offers') is not null then return; end if;
    create view ops.offers as
    select
        questions.question,
        questions.kind,
        questions.description,
        missing.names is null as is_offered,
        'no file of ' || missing.names || ' was landed' as why_not_offered
    from ops.questions
    cross join lateral (
        select string_agg(need, ', ' order by need) as names
        from unnest(questions.needs) as need
        where not exists (
            select from ops.landed_files
            where landed_files.status = 'accepted' and landed_files.table_name = landed_files.source || '_' || need
        )
    ) as missing;
end $$;
comment on view ops.offers is
'Whether each question is offered: whether the shop has sent what it needs. One that is not offered holds up nothing.';
comment on column ops.offers.question is 'Name.';
comment on column ops.offers.kind is 'predicts, describes, or rules: trains nothing.';
comment on column ops.offers.description is 'What it asks.';
comment on column ops.offers.is_offered is 'Whether it is scored at this shop.';
comment on column ops.offers.why_not_offered is 'Which files are missing; null: it is offered.';

create table if not exists ops.rejected_lines (
    file_id bigint not null references ops.landed_files,
    line_number bigint not null,
    reason text not null,
    content bytea not null,
    rejected_at timestamptz not null default now(),
    primary key (file_id, line_number)
);
comment on table ops.rejected_lines is
'Records that could not be read, one row per record, with the bytes as they were sent.';
comment on column ops.rejected_lines.file_id is 'File version it stood in.';
comment on column ops.rejected_lines.line_number is 'Line on which the record begins, from 1, header included.';
comment on column ops.rejected_lines.reason is 'Why it could not be read.';
comment on column ops.rejected_lines.content is
'The record''s bytes; of a table with personal columns their keyed hash, the bytes are in the vault.';
comment on column ops.rejected_lines.rejected_at is 'When it was rejected, UTC.';

create table if not exists ops.built_files (
    file_id bigint primary key references ops.landed_files,
    built_at timestamptz not null default now(),
    rules text,
    passed_at timestamptz
);
comment on table ops.built_files is
'Files whose rows are in the marts. What differs from the accepted files is what the next build works on.';
comment on column ops.built_files.file_id is 'File version.';
comment on column ops.built_files.built_at is 'When the last build ended, UTC.';
comment on column ops.built_files.rules is
'Digest of the rules of staging to marts that its rows were made by. A build with other rules makes all rows anew. Null: made before digests were kept.';
comment on column ops.built_files.passed_at is
'When it first was in a build that the gate of rejects let pass, UTC. Null: not yet, so that gate may hold its batch.';

create table if not exists ops.late_dates (
    question text not null,
    as_of_date date not null,
    file_id bigint not null references ops.landed_files,
    first_touched_date date not null,
    noted_at timestamptz not null default now(),
    primary key (question, as_of_date, file_id)
);
comment on table ops.late_dates is
'Published dates whose scores a later landed, or later refused, file touches: score them again to include it.';
comment on column ops.late_dates.question is 'Question whose scores are touched.';
comment on column ops.late_dates.as_of_date is 'Published date to score again.';
comment on column ops.late_dates.file_id is 'The late file.';
comment on column ops.late_dates.first_touched_date is 'Earliest order or refund day in the file.';
comment on column ops.late_dates.noted_at is 'When the build noted it, UTC.';

create table if not exists ops.gate_results (
    gate_result_id bigint generated always as identity primary key,
    run_id text not null,
    gate text not null,
    as_of_date date,
    publication_id bigint,
    table_name text not null,
    expectation text not null,
    column_name text,
    severity text not null check (severity in ('critical', 'warning', 'info')),
    success boolean not null,
    observed text,
    element_count bigint,
    unexpected_count bigint,
    checked_at timestamptz not null default now()
);
comment on table ops.gate_results is 'Each expectation of each gate of each run. No personal data.';
comment on column ops.gate_results.gate_result_id is 'Key.';
comment on column ops.gate_results.run_id is 'Run that the gate stood in.';
comment on column ops.gate_results.gate is 'Door: raw, rejects, days, features or scores.';
comment on column ops.gate_results.as_of_date is 'Date that the run scores.';
comment on column ops.gate_results.publication_id is 'Publication that was checked, at the scores door.';
comment on column ops.gate_results.table_name is 'Relation that was checked.';
comment on column ops.gate_results.expectation is 'Rule, as Great Expectations names it, with its bounds.';
comment on column ops.gate_results.column_name is 'Column, or several, that the rule is about; null: the table.';
comment on column ops.gate_results.severity is 'critical stops the run, warning is told, info is recorded.';
comment on column ops.gate_results.success is 'Whether the rule held.';
comment on column ops.gate_results.observed is 'What was found, or the error when the rule could not be evaluated.';
comment on column ops.gate_results.element_count is 'Rows looked at.';
comment on column ops.gate_results.unexpected_count is 'Rows that broke the rule.';
comment on column ops.gate_results.checked_at is 'When it was checked, UTC.';
create index if not exists gate_results_by_run on ops.gate_results (run_id);

create table if not exists ops.judged_days (
    day_date date primary key,
    count_orders bigint not null,
    count_guest_orders bigint not null,
    product_amount numeric not null,
    is_usual boolean not null,
    judged_at timestamptz not null default now()
);
comment on table ops.judged_days is
'What each day of the shop held when the gate of days let it pass: what new days are compared with.';
comment on column ops.judged_days.day_date is 'Day, shop-local.';
comment on column ops.judged_days.count_orders is 'Sales of the day, guests'' too.';
comment on column ops.judged_days.count_guest_orders is 'Sales of nobody the shop knows.';
comment on column ops.judged_days.product_amount is 'Sales of products, the shop''s currency.';
comment on column ops.judged_days.is_usual is
'False for a day that was beyond all bounds and that a person let pass: later days are not compared with it.';
comment on column ops.judged_days.judged_at is 'When it was judged last, UTC.';

create table if not exists ops.reject_levels (
    anchor text not null,
    dimension text not null check (dimension in ('all', 'country', 'product', 'month', 'table')),
    group_name text not null,
    reason text not null,
    count_orders bigint not null,
    amount numeric not null,
    as_of_date date not null,
    noted_at timestamptz not null default now(),
    build text,
    rules text,
    primary key (anchor, dimension, group_name, reason)
);
comment on table ops.reject_levels is
'How much the shop had sent, and staging rejected, when the gate of rejects let a build pass: later ones are compared with it. One row per anchor, group and reason.';
comment on column ops.reject_levels.anchor is
'last: the last build that passed; month: one of up to four weeks before; before last, before month: what the last build took the place of.';
comment on column ops.reject_levels.dimension is 'What the groups are: all (the whole shop), country, product, month, or table.';
comment on column ops.reject_levels.group_name is 'Which country, product, month (2024-05) or table; empty for the whole shop.';
comment on column ops.reject_levels.reason is 'Why it was rejected, in words; empty: all that was sent.';
comment on column ops.reject_levels.count_orders is 'Orders; of a product its order lines, of a table its rows.';
comment on column ops.reject_levels.amount is 'Money of their lines, the shop''s currency; of rejected ones as sent, an estimate.';
comment on column ops.reject_levels.as_of_date is 'Date of that build.';
comment on column ops.reject_levels.noted_at is 'When it was noted, UTC.';
comment on column ops.reject_levels.build is
'Which build it was: a digest of its files. One that is judged again is compared with what it was compared with before.';
comment on column ops.reject_levels.rules is
'Digest of the rules of staging to marts that the build was made by: a build with other rules is told of, and holds nothing.';

create table if not exists ops.reconciliations (
    as_of_date date not null,
    run_id text not null,
    place text not null check (
        place in ('in raw', 'customers', 'guests', 'refunds', 'charges', 'rejected', 'not accounted for')
    ),
    reason text not null,
    count_rows bigint not null,
    count_orders bigint not null,
    amount numeric not null,
    reconciled_at timestamptz not null default now(),
    primary key (as_of_date, run_id, place, reason)
);
comment on table ops.reconciliations is
'Where the rows, the orders and the money of all accepted files went when a build ended. One row per build, place and reason.';
comment on column ops.reconciliations.as_of_date is 'Date that was built.';
comment on column ops.reconciliations.run_id is 'Run that built it.';
comment on column ops.reconciliations.place is
'in raw: all that was sent, counted at landing and summed apart from staging; customers, guests: product lines of sales; refunds; charges: lines that are no product; rejected; not accounted for: what is left, 0 in a sound build.';
comment on column ops.reconciliations.reason is 'Why it was rejected, in words; empty at the other places.';
comment on column ops.reconciliations.count_rows is 'Rows of orders and of their lines.';
comment on column ops.reconciliations.count_orders is 'Orders and refunds; each has one place, that of its first line in this order of places.';
comment on column ops.reconciliations.amount is
'Units times price of the lines as sent, the shop''s currency; of rejected ones that staging can''t read an estimate.';
comment on column ops.reconciliations.reconciled_at is 'When it was reconciled, UTC.';

create table if not exists ops.publications (
    question text not null,
    as_of_date date not null,
    publication_id bigint not null,
    run_id text not null,
    model_name text not null,
    model_version text not null,
    training_date date not null,
    row_count bigint not null,
    row_counts jsonb not null,
    checksum text not null,
    published_at timestamptz not null default now(),
    erased_count bigint not null default 0,
    primary key (question, as_of_date)
);
comment on table ops.publications is
'Which rows of the score tables are in force: one row per question and as_of_date. Views read through it.';
comment on column ops.publications.question is 'Question, as its folder in ml_tasks is called.';
comment on column ops.publications.as_of_date is 'Date that was scored: nothing of that day or later was seen.';
comment on column ops.publications.publication_id is 'Rows with this id are in force.';
comment on column ops.publications.run_id is 'Run that published.';
comment on column ops.publications.model_name is 'Model whose numbers these are.';
comment on column ops.publications.model_version is 'Its version: training date and a digest of what was learnt.';
comment on column ops.publications.training_date is 'Date that the model was trained for; its outcomes were known by then.';
comment on column ops.publications.row_count is 'Rows in force, all tables of the question.';
comment on column ops.publications.row_counts is 'Rows in force, by table.';
comment on column ops.publications.checksum is 'Digest of the rows without run_id, publication_id and scored_at: equal runs, equal digest.';
comment on column ops.publications.erased_count is
'Rows taken out since by erasures of customers; row_count, row_counts and checksum are of what is left.';
comment on column ops.publications.published_at is 'When the pointer was switched, UTC.';
create sequence if not exists ops.publication_id_seq;

create table if not exists ops.score_parts (
    run_id text not null,
    question text not null,
    as_of_date date not null,
    shard_count integer not null,
    shard_number integer not null,
    table_name text not null,
    model_version text not null,
    late_file_ids bigint[] not null,
    content bytea not null,
    feature_counts jsonb,
    read_at timestamptz not null default now(),
    primary key (run_id, question, as_of_date, shard_count, shard_number, table_name),
    check (shard_number between 0 and shard_count - 1)
);
comment on table ops.score_parts is
'Rows scored by one of several shards, until the run publishes them; empty between runs. One row per shard and score table.';
comment on column ops.score_parts.run_id is 'Run that scored, and will publish; with a time once it has begun to.';
comment on column ops.score_parts.question is 'Question that is scored.';
comment on column ops.score_parts.as_of_date is 'Date that is scored.';
comment on column ops.score_parts.shard_count is 'Number of shards.';
comment on column ops.score_parts.shard_number is 'Which of them, from 0.';
comment on column ops.score_parts.table_name is 'Score table that the rows are for.';
comment on column ops.score_parts.model_version is 'Model whose numbers these are.';
comment on column ops.score_parts.late_file_ids is 'Late files that the rows include.';
comment on column ops.score_parts.content is 'The rows, as Parquet.';
comment on column ops.score_parts.feature_counts is 'Histograms of what the rows are made of, by feature, for the watch on drift; null: the model has none to compare.';
comment on column ops.score_parts.read_at is 'When reading what they are made of began, UTC.';

create table if not exists ops.champions (
    champion_id bigint generated always as identity primary key,
    question text not null,
    training_date date not null,
    model_version text not null,
    model_training_date date not null,
    previous_version text,
    challenger_version text,
    decision text not null
        check (decision in ('trained', 'refreshed', 'promoted', 'kept', 'waiting', 'rolled_back')),
    reason text not null,
    figures jsonb,
    decided_by text not null,
    decided_at timestamptz not null default now(),
    check (model_training_date <= training_date)
);
comment on table ops.champions is
'Which model is champion from a training date on; of a question and training_date the newest row counts. Append only.';
comment on column ops.champions.champion_id is 'Key; a later decision has a higher one.';
comment on column ops.champions.question is 'Question, as its folder in ml_tasks is called.';
comment on column ops.champions.training_date is 'The decision holds for dates scored from this day on, until the next.';
comment on column ops.champions.model_version is 'The champion: training date and a digest of what was learnt.';
comment on column ops.champions.model_training_date is 'Date that the champion was trained for.';
comment on column ops.champions.previous_version is 'Champion before the decision; null: there was none.';
comment on column ops.champions.challenger_version is 'Model that was compared with it; null: none was.';
comment on column ops.champions.decision is
'trained: there was none; refreshed: same recipe, newer data; promoted; kept; waiting for a person; rolled_back.';
comment on column ops.champions.reason is 'Why, in a sentence.';
comment on column ops.champions.figures is 'What was compared: a row per cut and model.';
comment on column ops.champions.decided_by is 'The rule, or who.';
comment on column ops.champions.decided_at is 'When, UTC.';
create index if not exists champions_by_date on ops.champions (question, training_date, champion_id);

create table if not exists ops.drift (
    question text not null,
    as_of_date date not null,
    kind text not null check (kind in ('feature', 'score')),
    column_name text not null,
    model_version text not null,
    statistic text not null,
    value double precision not null,
    threshold double precision,
    n_reference bigint not null,
    n_current bigint not null,
    run_id text not null,
    checked_at timestamptz not null default now(),
    primary key (question, as_of_date, kind, column_name)
);
comment on table ops.drift is
'How far inputs and scores of a date are from those of the model''s training date. Made again with the scores.';
comment on column ops.drift.question is 'Question, as its folder in ml_tasks is called.';
comment on column ops.drift.as_of_date is 'Date that was scored.';
comment on column ops.drift.kind is 'feature: what the model is fed; score: what it answers.';
comment on column ops.drift.column_name is 'Column of the features or of the score table.';
comment on column ops.drift.model_version is 'Model whose training date is compared with.';
comment on column ops.drift.statistic is 'How the distance is measured.';
comment on column ops.drift.value is 'Distance of the two distributions, in [0, 1].';
comment on column ops.drift.threshold is
'Above it a warning is told: months before training were less far apart, and chance is. Null: too few months to tell.';
comment on column ops.drift.n_reference is 'Rows on the training date.';
comment on column ops.drift.n_current is 'Rows on the scored date.';
comment on column ops.drift.run_id is 'Run that compared.';
comment on column ops.drift.checked_at is 'When it was compared, UTC.';

create table if not exists ops.incidents (
    incident_id bigint generated always as identity primary key,
    cause text not null,
    kind text not null,
    severity text not null check (severity in ('critical', 'warning', 'info')),
    title text not null,
    summary text not null,
    owner text not null,
    runbook_entry text not null,
    table_name text,
    steps text[] not null,
    first_bad_date date,
    last_bad_date date,
    run_id text,
    seen_count bigint not null default 1,
    opened_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    last_told_at timestamptz,
    closed_at timestamptz
);
-- two tasks that fail at once meet here: one opens the incident, the other is counted
create unique index if not exists incidents_open on ops.incidents (cause) where closed_at is null;
comment on table ops.incidents is
'What was wrong, one row per cause from when it was first seen until it was over. No personal data.';
comment on column ops.incidents.incident_id is 'Key.';
comment on column ops.incidents.cause is
'The same for the same cause: failing check or exception, table and step, without run, date and counts.';
comment on column ops.incidents.kind is
'Who noticed: failure (a task), warning (a gate), question (a person is asked), deadline, watchdog.';
comment on column ops.incidents.severity is 'critical: nothing comes out; warning: it may be poor or late; info.';
comment on column ops.incidents.title is 'What broke, in a few words.';
comment on column ops.incidents.summary is 'Failing check or exception as first seen, values masked.';
comment on column ops.incidents.owner is 'Owner of the table by dbt''s groups, else of the DAG.';
comment on column ops.incidents.runbook_entry is 'Heading of its entry in docs/runbook.md.';
comment on column ops.incidents.table_name is 'Relation that it is about; null: none is named.';
comment on column ops.incidents.steps is
'dag.task that met it and did not succeed since; empty once it is over.';
comment on column ops.incidents.first_bad_date is 'Earliest scored date that met it; null: of none.';
comment on column ops.incidents.last_bad_date is 'Latest such date: success for it, or a later one, ends it.';
comment on column ops.incidents.run_id is 'Run that met it last; null: seen from outside.';
comment on column ops.incidents.seen_count is 'How often it was seen, the first time included.';
comment on column ops.incidents.opened_at is 'When it was first seen, UTC.';
comment on column ops.incidents.last_seen_at is 'When it was last seen, UTC.';
comment on column ops.incidents.last_told_at is 'When an alert about it was last delivered, UTC; null: none was.';
comment on column ops.incidents.closed_at is 'When it was over, UTC; null: it is open.';

create table if not exists ops.alerts (
    alert_id bigint generated always as identity primary key,
    dag_id text,
    task_id text,
    run_id text,
    as_of_date date,
    subject text not null,
    is_delivered boolean not null,
    alerted_at timestamptz not null default now(),
    incident_id bigint references ops.incidents,
    event text
);
comment on table ops.alerts is 'Messages about incidents, delivered or not: one row per incident and message.';
comment on column ops.alerts.alert_id is 'Key.';
comment on column ops.alerts.dag_id is 'DAG that met it; null: seen from outside.';
comment on column ops.alerts.task_id is 'Task that met it; null: none in particular.';
comment on column ops.alerts.run_id is 'Run that met it; null: seen from outside.';
comment on column ops.alerts.as_of_date is 'Date that was being scored; of a recovery the first bad date.';
comment on column ops.alerts.subject is 'Subject line of the message.';
comment on column ops.alerts.is_delivered is 'Whether every receiver took it.';
comment on column ops.alerts.alerted_at is 'When it was sent, UTC.';
comment on column ops.alerts.incident_id is 'What it is about; null: sent before there were incidents.';
comment on column ops.alerts.event is 'opened, again (it stays), recovered, or accepted or refused by a person; null: before there were incidents.';

-- The watchdog counts customers and sees none: neither ids nor anything else of them.
create or replace function ops.count_known_customers(as_of_date date) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    count_known bigint;
begin
    if to_regclass('features.customer_snapshots') is null then return null; end if;
    execute 'select count(*) from features.customer_snapshots where as_of_date = $1'
    into count_known using as_of_date;
    return count_known;
end $$;
revoke all on function ops.count_known_customers from public;

create table if not exists ops.erasures (
    erasure_id bigint generated always as identity primary key,
    keyed_hash text not null unique,
    requested_by text not null,
    reason text not null,
    counts jsonb not null,
    models jsonb not null,
    erased_at timestamptz not null default now(),
    verified_at timestamptz
);
comment on table ops.erasures is
'Proof that a customer was erased, one row per customer. No personal data: landing knows the customer by the keyed hash.';
comment on column ops.erasures.erasure_id is 'Key.';
comment on column ops.erasures.keyed_hash is
'HMAC-SHA256 of the customer key, first half; landing empties the key of whoever has it.';
comment on column ops.erasures.requested_by is 'Who started it, or approved it.';
comment on column ops.erasures.reason is 'Why, in their words.';
comment on column ops.erasures.counts is 'Rows deleted or emptied, by table.';
comment on column ops.erasures.models is
'Models that had learnt from the customer, by question: replaced at their next training.';
comment on column ops.erasures.erased_at is 'When the rows were deleted or emptied, UTC.';
comment on column ops.erasures.verified_at is
'When the customer was looked for everywhere and not found, UTC; null: that is still to come.';

-- Vault: originals of personal values, a partition a month of landing ------------------------------

create table if not exists vault.originals (
    landed_month date not null default date_trunc('month', now())::date,
    table_name text not null,
    column_name text not null,
    keyed_hash text not null,
    value bytea not null,
    file_id bigint not null,
    landed_at timestamptz not null default now(),
    primary key (landed_month, table_name, column_name, keyed_hash)
) partition by range (landed_month);
comment on table vault.originals is
'What stood where raw has a keyed hash, each value once a month of landing. Months expire whole: vault.expire.';
comment on column vault.originals.landed_month is 'Month of landing, its first day, UTC.';
comment on column vault.originals.table_name is 'Table in raw.';
comment on column vault.originals.column_name is 'Its column; *: a whole record that could not be read.';
comment on column vault.originals.keyed_hash is 'What raw, or ops.rejected_lines, has in its place.';
comment on column vault.originals.value is 'The bytes as they were sent; of a column UTF-8.';
comment on column vault.originals.file_id is 'File version that brought it first that month.';
comment on column vault.originals.landed_at is 'When, UTC.';

create or replace function vault.ensure_month() returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    month_start date := date_trunc('month', now())::date;
    partition_name text := to_char(month_start, '"originals_"YYYY_MM');
begin
    if to_regclass(format('vault.%I', partition_name)) is not null then return; end if;
    -- made beside and attached: `partition of` would wait for whoever reads the vault
    execute format('create table vault.%I (like vault.originals including all)', partition_name);
    execute format(
        'alter table vault.originals attach partition vault.%I for values from (%L) to (%L)',
        partition_name, month_start, month_start + interval '1 month'
    );
end $$;
revoke all on function vault.ensure_month from public;

-- Drops the months whose last day is more than so many days ago, and returns their first days.
create or replace function vault.expire(days integer) returns setof date
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '30s' as $$
declare
    month_start date;
begin
    for month_start in
        select to_date(right(relname, 7), 'YYYY_MM')
        from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = 'vault.originals'::regclass
        order by 1
    loop
        if month_start + interval '1 month' + make_interval(days => days) <= now() then
            execute format('drop table vault.%I', to_char(month_start, '"originals_"YYYY_MM'));
            return next month_start;
        end if;
    end loop;
end $$;
revoke all on function vault.expire from public;

-- Score partitions: the scorer may add a month, and nothing else, to a score table ------------------

create or replace function scores.ensure_month(table_name text, as_of_date date) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    month_start date := date_trunc('month', as_of_date)::date;
    partition_name text := table_name || to_char(as_of_date, '_YYYY_MM');
begin
    if to_regclass(format('scores.%I', partition_name)) is not null then return; end if;
    if not exists (
        select from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where nspname = 'scores' and relname = table_name and relkind = 'p'
    ) then
        raise exception 'scores.% is not a score table', table_name;
    end if;
    perform pg_advisory_xact_lock(hashtext('scores.' || partition_name));
    -- asked of the table: to_regclass may answer from what this session knew before it waited
    if exists (
        select from pg_class
        where relnamespace = 'scores'::regnamespace and relname = partition_name
    ) then return; end if;
    -- made beside and attached: `partition of` would wait for every reader of the table
    execute format(
        'create table scores.%I (like scores.%I including all)', partition_name, table_name
    );
    execute format(
        'alter table scores.%I attach partition scores.%I for values from (%L) to (%L)',
        table_name, partition_name, month_start, month_start + interval '1 month'
    );
end $$;
revoke all on function scores.ensure_month from public;

-- Retention: months of scores go whole, and what ops tells of them; never a row that is in force --------

-- Takes a question's dates out of force that lie in months before its newest `months`, and drops the
-- partitions of those months. All or nothing; a reader who holds a table for long puts it off.
create or replace function scores.expire(question text, tables text [], months integer) returns setof text
language plpgsql security definer set search_path = pg_catalog, pg_temp set lock_timeout = '2s' as $$
declare
    first_kept date;
    partition_name text;
    is_in_force boolean;
begin
    if months < 1 then raise exception 'the newest month stays: months is %, at least 1', months; end if;
    select date_trunc('month', max(publications.as_of_date))::date - make_interval(months => months - 1)
    into first_kept from ops.publications where publications.question = expire.question;
    if first_kept is null then return; end if;
    delete from ops.late_dates
    where late_dates.question = expire.question and as_of_date < first_kept;
    delete from ops.publications
    where publications.question = expire.question and as_of_date < first_kept;
    for partition_name in
        select child.relname
        from pg_inherits
        join pg_class as child on child.oid = inhrelid
        join pg_class as parent on parent.oid = inhparent
        where parent.relnamespace = 'scores'::regnamespace and parent.relname = any(tables)
        and to_date(right(child.relname, 7), 'YYYY_MM') < first_kept
        order by 1
    loop
        execute format(
            'select exists (select from scores.%I join ops.publications using (as_of_date, publication_id))',
            partition_name
        ) into is_in_force;
        if is_in_force then
            raise exception 'scores.% holds rows in force: not a table of %', partition_name, question;
        end if;
        execute format('drop table scores.%I', partition_name);
        return next partition_name;
    end loop;
end $$;
revoke all on function scores.expire from public;

-- Delete a question's dates that are more than so many days older than its newest, but the first date of each month, which
-- lookback compares once its horizon has passed. Returns the deleted dates. Row locks only: readers do not wait.
create or replace function scores.thin(question text, tables text [], days integer) returns setof date
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    thinned date [];
    table_name text;
begin
    if days < 1 then raise exception 'the newest date stays: days is %, at least 1', days; end if;
    select array_agg(dated.as_of_date order by dated.as_of_date) into thinned
    from (
        select
            publications.as_of_date,
            max(publications.as_of_date) over () as newest_date,
            min(publications.as_of_date) over (
                partition by date_trunc('month', publications.as_of_date)
            ) as first_of_month
        from ops.publications where publications.question = thin.question
    ) as dated
    where dated.as_of_date <= dated.newest_date - days and dated.as_of_date <> dated.first_of_month;
    if thinned is null then return; end if;
    delete from ops.late_dates where late_dates.question = thin.question and as_of_date = any(thinned);
    delete from ops.publications where publications.question = thin.question and as_of_date = any(thinned);
    foreach table_name in array tables loop
        execute format('delete from scores.%I where as_of_date = any($1)', table_name) using thinned;
    end loop;
    return query select unnest(thinned);
end $$;
revoke all on function scores.thin from public;

-- Deletes what was noted of runs more than `days` days ago, and returns how many rows, by table.
create or replace function ops.expire(days integer) returns table (table_name text, row_count bigint)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    noted text[];
begin
    if days < 1 then raise exception 'what was noted today stays: days is %, at least 1', days; end if;
    foreach noted slice 1 in array array[
        ['alerts', 'alerted_at'], ['gate_results', 'checked_at'], ['drift', 'checked_at']
    ]
    loop
        execute format(
            'delete from ops.%I where %I < now() - make_interval(days => $1)', noted[1], noted[2]
        ) using days;
        get diagnostics row_count = row_count;
        table_name := noted[1];
        return next;
    end loop;
end $$;
revoke all on function ops.expire from public;

-- Grants ----------------------------------------------------------------------------------------

grant usage on schema raw to loader, transformer;
grant usage on schema raw, scores, staging, intermediate, marts, features, ops to eraser;
grant usage on schema vault to loader, eraser;
grant usage on schema ops to loader, transformer, scorer, watcher;
grant usage on schema scores to transformer, scorer;
grant usage on schema staging, intermediate, marts, features to scorer;
grant usage on schema reporting to bi_reader;

alter default privileges in schema raw grant select, insert on tables to loader;
alter default privileges in schema raw grant select on tables to transformer;
alter default privileges in schema raw grant select, update on tables to eraser;
grant select, update on all tables in schema raw to eraser;
grant insert on vault.originals to loader;
grant select, delete on vault.originals to eraser;
grant execute on function vault.ensure_month to loader;
grant execute on function vault.expire to eraser;
alter default privileges in schema scores
grant select, insert, delete, maintain on tables to scorer; -- maintain: analyze what was just copied
alter default privileges in schema scores grant select on tables to transformer;
alter default privileges in schema scores grant select, delete on tables to eraser;
grant select, delete on all tables in schema scores to eraser;
grant execute on function scores.ensure_month, scores.expire, scores.thin, ops.expire to scorer;

grant select, insert, update on ops.landed_files to loader;
grant select, insert on ops.rejected_lines, ops.gate_results to loader;
grant usage on sequence ops.batch_id_seq to loader;
grant select on all tables in schema ops to transformer;
grant select on ops.offers to loader, scorer, watcher;
grant insert, update, delete on ops.late_dates, ops.built_files to transformer;
grant insert, update on ops.judged_days to transformer;
grant insert, delete on ops.reject_levels, ops.reconciliations to transformer;
grant select, insert, update on ops.publications to scorer;
grant select, insert on ops.gate_results, ops.champions to scorer;
grant select, delete on ops.late_dates to scorer;
grant select, insert, delete on ops.drift to scorer;
grant select, insert, update, delete on ops.score_parts to scorer;
grant usage on sequence ops.publication_id_seq to scorer;
grant select, insert, update on ops.incidents to watcher;
grant insert on ops.alerts to watcher;
grant select (status, as_of_date, landed_at) on ops.landed_files to watcher;
grant select (question, as_of_date, published_at, row_counts) on ops.publications to watcher;
grant execute on function ops.count_known_customers to watcher;
grant select on ops.erasures to loader, scorer;
grant select on ops.shop to scorer; -- questions in SQL know days and hours by its time zone
grant select on all tables in schema ops to eraser;
grant insert, update on ops.erasures to eraser;
grant delete on ops.score_parts to eraser;
grant update on ops.publications, ops.rejected_lines to eraser;

alter default privileges for role transformer in schema staging grant select on tables to scorer;
alter default privileges for role transformer in schema intermediate grant select on tables to scorer;
alter default privileges for role transformer in schema marts grant select on tables to scorer;
alter default privileges for role transformer in schema features grant select on tables to scorer;
alter default privileges for role transformer in schema reporting grant select on tables to bi_reader;
grant select on all tables in schema reporting to bi_reader; -- `drop owned by` of its own takes the default away
alter default privileges for role transformer in schema staging grant select on tables to eraser;
alter default privileges for role transformer in schema intermediate grant select on tables to eraser;
alter default privileges for role transformer in schema marts grant select on tables to eraser;
alter default privileges for role transformer in schema features grant select, delete on tables to eraser;
grant select on all tables in schema staging, intermediate, marts to eraser;
grant select, delete on all tables in schema features to eraser;
