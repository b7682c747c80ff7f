-- What the warden may do beyond what a reader may, and nothing else. Run by the superuser at each start.
--
-- A role may change its own password and settings, and lock everybody out who uses it: what a start has
-- set is kept here, and whatever a role has changed since is set back by warden.mend().

create schema if not exists warden;
revoke all on schema warden from public;

create table if not exists warden.held_roles (
    role_name text primary key,
    settings text[] not null,
    verifier text not null
);
comment on table warden.held_roles is 'Roles as the last start set them, one row a role. The superuser''s alone.';
comment on column warden.held_roles.role_name is 'Login role.';
comment on column warden.held_roles.settings is 'Its own settings, name=value, of no database in particular.';
comment on column warden.held_roles.verifier is 'Its password as Postgres keeps it (SCRAM).';

create table if not exists warden.mended_roles (
    role_name text not null,
    changed text not null,
    mended_at timestamptz not null default clock_timestamp()
);
comment on table warden.mended_roles is
'What roles changed of themselves and the warden set back, one row a time; kept for 30 days.';
comment on column warden.mended_roles.role_name is 'Login role.';
comment on column warden.mended_roles.changed is 'What it had changed, in words, without values.';
comment on column warden.mended_roles.mended_at is 'When it was set back, UTC.';

-- Keeps roles as they are now.
create or replace function warden.hold(role_names text[]) returns void
language sql set search_path = pg_catalog, pg_temp as $$
    delete from warden.held_roles;
    insert into warden.held_roles
    select rolname, coalesce(setconfig, '{}'), rolpassword
    from pg_authid left join pg_db_role_setting on setrole = pg_authid.oid and setdatabase = 0
    where rolname = any(role_names);
$$;

-- Roles that are not as they are held, with the databases in which they have settings of their own.
create or replace function warden.altered_roles()
returns table (
    role_name text, settings text[], verifier text, is_password boolean, is_settings boolean, databases text[]
)
language sql stable set search_path = pg_catalog, pg_temp as $$
    select * from (
        select
            held.role_name,
            held.settings,
            held.verifier,
            rolpassword is distinct from held.verifier as is_password,
            coalesce(own.setconfig, '{}') <> held.settings as is_settings,
            array(
                select datname::text from pg_db_role_setting
                join pg_database on pg_database.oid = setdatabase
                where setrole = pg_authid.oid
                order by datname
            ) as databases
        from warden.held_roles as held
        join pg_authid on rolname = held.role_name
        left join pg_db_role_setting as own on setrole = pg_authid.oid and setdatabase = 0
    ) as compared
    where is_password or is_settings or cardinality(databases) > 0
$$;

-- Sets back what roles have changed of themselves, and returns it in words.
create or replace function warden.mend() returns setof text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    altered record;
    words text;
    item text;
begin
    for altered in select * from warden.altered_roles() loop
        if altered.is_password then
            execute format('alter role %I password %L', altered.role_name, altered.verifier);
        end if;
        if altered.is_settings then
            execute format('alter role %I reset all', altered.role_name);
            foreach item in array altered.settings loop
                execute format(
                    'alter role %I set %I = %L',
                    altered.role_name, split_part(item, '=', 1), substr(item, strpos(item, '=') + 1)
                );
            end loop;
        end if;
        foreach item in array altered.databases loop
            execute format('alter role %I in database %I reset all', altered.role_name, item);
        end loop;
        words := concat_ws(
            ', ',
            case when altered.is_password then 'its password' end,
            case when altered.is_settings then 'its settings' end,
            case when cardinality(altered.databases) > 0
                then 'its settings in database ' || array_to_string(altered.databases, ', ') end
        );
        insert into warden.mended_roles (role_name, changed) values (altered.role_name, words);
        return next altered.role_name || ' had changed ' || words;
    end loop;
    -- `drop owned by` takes away what the reader would be given with the next view
    if not exists (
        select from pg_default_acl, aclexplode(defaclacl) as given
        where defaclnamespace = 'reporting'::regnamespace and grantee = 'bi_reader'::regrole
    ) then
        alter default privileges for role transformer in schema reporting grant select on tables to bi_reader;
        grant select on all tables in schema reporting to bi_reader;
        insert into warden.mended_roles (role_name, changed) values ('bi_reader', 'its default rights');
        return next 'bi_reader had changed its default rights';
    end if;
    delete from warden.mended_roles where mended_at < now() - interval '30 days';
end $$;

-- When the warden last looked; null: none is connected. The watchdog sees no more of its sessions.
create or replace function warden.looked_at() returns timestamptz
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
    select max(query_start) from pg_stat_activity where usename = 'reader_limit'
$$;

revoke all on function warden.hold, warden.altered_roles, warden.mend, warden.looked_at from public;
grant usage on schema warden to reader_limit, watcher;
grant execute on function warden.mend to reader_limit;
grant execute on function warden.looked_at to watcher;
grant select on warden.mended_roles to watcher;
