-- One row per landed file of this shop, as this build sees it. Read once, here: a file that is
-- accepted while a build runs waits for the next one. A file stays changed until a build ends well
-- (`ops.built_files` is written then), also when it was refused or accepted again after a build
-- that failed halfway. An accepted file is changed, too, when the last build had other rules.
-- A file that grew is one landing with the version it continues: its lines add up, see landing_id.
with recursive

landed_files as (

    select * from {{ source('ops', 'landed_files') }}
    where source = '{{ var("source") }}'

),

landings as (

    -- a version that continues another comes after it
    select
        file_id,
        batch_id as landing_id

    from landed_files
    where continues_file_id is null

    union all

    select
        later.file_id,
        landings.landing_id

    from landings
    inner join landed_files as later on landings.file_id = later.continues_file_id

),

build_cycle as (

    -- changes whenever a build ends
    select
        coalesce(md5(string_agg(file_id || ' ' || built_at, ',' order by file_id)), 'none')
            as build_cycle

    from {{ source('ops', 'built_files') }}

),

changed_before as (

    -- by the build before, if that did not end well
    {% if is_incremental() -%}
    select file_id from {{ this }}
    where is_changed and build_cycle = (select build_cycle from build_cycle)
    {%- else -%}
    select null::bigint as file_id
    {%- endif %}

)

select
    landed_files.file_id,
    landed_files.table_name,
    landed_files.batch_id,
    landings.landing_id,
    landed_files.status = 'accepted' as is_accepted,
    (landed_files.status = 'accepted') <> (built_files.file_id is not null)
    or (landed_files.status = 'accepted' and built_files.rules is distinct from '{{ rules() }}')
    or changed_before.file_id is not null as is_changed,
    build_cycle.build_cycle,
    '{{ rules() }}' as rules

from landed_files
inner join landings on landed_files.file_id = landings.file_id
cross join build_cycle
left join {{ source('ops', 'built_files') }} as built_files
    on landed_files.file_id = built_files.file_id
left join changed_before on landed_files.file_id = changed_before.file_id

-- one that is held is not there, unless it was let in before: then it is taken out
where
    landed_files.status <> 'held'
    or built_files.file_id is not null
    or changed_before.file_id is not null
