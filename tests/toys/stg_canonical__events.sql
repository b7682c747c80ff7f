-- One row per page view of an accepted file.
select
    events.session_id,
    events.viewed_at::date as viewed_date

from {{ source('raw', 'canonical_events') }} as events
inner join {{ source('ops', 'landed_files') }} as files on events._file_id = files.file_id
where files.status = 'accepted'
