-- One row per landed file of this shop, as this build sees it. Read once, here: a file that is
-- accepted while a build runs waits for the next one. A file stays changed until a build ends well
-- (`ops.built_files` is written then), also when it was refused or accepted again after a build
-- that failed halfway.
with

landed_files as (

    select * from {{ source('ops', 'landed_files') }}
    where source = '{{ var("source") }}'

),

built_files as (

    select * from {{ source('ops', 'built_files') }}

),

build_cycle as (

    -- changes whenever a build ends
    select
        coalesce(md5(string_agg(file_id || ' ' || built_at, ',' order by file_id)), 'none')
            as build_cycle

    from built_files

),

last_seen as (

    {% if is_incremental() -%}
    select
        file_id,
        is_changed,
        build_cycle

    from {{ this }}
    {%- else -%}
    select
        null::bigint as file_id,
        false as is_changed,
        '' as build_cycle
    {%- endif %}

)

select
    landed_files.file_id,
    landed_files.table_name,
    landed_files.status = 'accepted' as is_accepted,
    (landed_files.status = 'accepted') <> (built_files.file_id is not null)
    or coalesce(last_seen.is_changed and last_seen.build_cycle = build_cycle.build_cycle, false)
        as is_changed,
    build_cycle.build_cycle

from landed_files

cross join build_cycle

left join built_files
    on landed_files.file_id = built_files.file_id

left join last_seen
    on landed_files.file_id = last_seen.file_id

-- one that is held is not there, unless it was let in before: then it is taken out
where
    landed_files.status <> 'held'
    or built_files.file_id is not null
    or coalesce(last_seen.is_changed and last_seen.build_cycle = build_cycle.build_cycle, false)
