-- Homes from before upgrades were numbered. They differ in what they have already, so each statement asks first.

alter table ops.landed_files add column if not exists column_names text[];
alter table ops.built_files add column if not exists rules text;
alter table ops.built_files add column if not exists passed_at timestamptz;
alter table if exists ops.reject_levels drop constraint if exists reject_levels_anchor_check;
alter table if exists ops.reject_levels add column if not exists build text;
alter table if exists ops.reject_levels add column if not exists rules text;
alter table ops.publications add column if not exists erased_count bigint not null default 0;
alter table if exists ops.score_parts add column if not exists feature_counts jsonb;

-- An alert belongs to an incident, and need not come from a task. Only the watcher writes one.
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
alter table ops.alerts alter column dag_id drop not null;
alter table ops.alerts alter column task_id drop not null;
alter table ops.alerts alter column run_id drop not null;
alter table ops.alerts add column if not exists incident_id bigint references ops.incidents;
alter table ops.alerts add column if not exists event text;
revoke insert on ops.alerts from loader, transformer, scorer;

-- The model asks for its own column before dbt adds it.
alter table if exists features.customer_snapshots add column if not exists is_in_sample boolean;

-- Units were whole numbers. Views of staging and intermediate on such a column are dropped with what stands on them:
-- the next build makes them again, and nobody but a build reads them. Any other view stops the upgrade.
do $$
declare
    whole record;
    view_name regclass;
begin
    for whole in
        select attrelid::regclass as relation, attname, attnum
        from pg_attribute join (values
            ('staging.stg_canonical__order_items_judged', 'quantity'),
            ('staging.stg_online_retail__invoice_lines', 'quantity'),
            ('intermediate.int_customer_days', 'units'),
            ('marts.fct_order_items', 'units'),
            ('marts.fct_refunds', 'units'),
            ('marts.fct_orders', 'units'),
            ('marts.fct_demand_weekly', 'sold_units'),
            ('marts.dim_products', 'lifetime_units'),
            ('features.product_weeks', 'sold_units')
        ) as units (relation, column_name)
            on attrelid = to_regclass(units.relation) and attname = units.column_name
        where atttypid in ('integer'::regtype, 'bigint'::regtype)
    loop
        for view_name in
            with recursive views as (
                select pg_rewrite.ev_class, 1 as depth
                from pg_depend join pg_rewrite
                    on pg_rewrite.oid = pg_depend.objid and pg_depend.classid = 'pg_rewrite'::regclass
                where pg_depend.refclassid = 'pg_class'::regclass and pg_depend.refobjid = whole.relation
                    and pg_depend.refobjsubid = whole.attnum and pg_rewrite.ev_class <> whole.relation
                union
                select pg_rewrite.ev_class, views.depth + 1
                from views
                join pg_depend on pg_depend.refobjid = views.ev_class
                join pg_rewrite
                    on pg_rewrite.oid = pg_depend.objid and pg_depend.classid = 'pg_rewrite'::regclass
                where pg_rewrite.ev_class <> views.ev_class
            )
            select ev_class from views group by ev_class order by max(depth) desc
        loop
            if (select relnamespace from pg_class where oid = view_name) not in (
                'staging'::regnamespace, 'intermediate'::regnamespace
            ) then
                raise exception '% stands on %, whose % are to hold fractions: drop that view and start again',
                    view_name, whole.relation, whole.attname;
            end if;
            execute format('drop view %s', view_name);
        end loop;
        execute format('alter table %s alter column %I type numeric', whole.relation, whole.attname);
    end loop;
end $$;

drop procedure if exists ops.add_column, ops.widen_units;
