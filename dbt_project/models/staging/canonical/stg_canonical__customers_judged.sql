-- One row per line of an accepted file of customers, good or not: rejected_reason tells.
-- depends_on: {{ ref('stg_canonical__changed_keys') }}
with

files as (

    select * from {{ ref('stg_ops__landed_files') }}
    where is_accepted {% if is_partial() %}and is_changed{% endif %}

),

raw_rows as (

    select * from {{ source('raw', 'canonical_customers') }}
    where _file_id in (select file_id from files)

),

typed_rows as (

    select
        _file_id as file_id,
        _line as line_number,
        -- the row as it was sent: equal rows have equal keys
        md5(
            row(
                customer_id, registered_at, country
            )::text
        )::uuid as content_key,
        coalesce({{ as_customer_id('customer_id') }}, '') as customer_id,
        {{ as_shop_time('registered_at') }} as registered_at,
        {{ as_text('country') }} as country,
        {{ as_text('registered_at') }} as sent_registered_at

    from raw_rows

),

judged_rows as (

    select
        file_id,
        line_number,
        content_key,
        customer_id,
        registered_at,
        country,
        case
            when customer_id = '' then 'no customer_id'
            when {{ is_too_long('customer_id') }}
                then 'customer_id is longer than 200 characters'
            when sent_registered_at is not null and registered_at is null
                then 'registered_at is no date and time'
        end as row_fault

    from typed_rows

),

candidates as (

    select * from judged_rows

    {% if is_partial() %}
    union all

    -- rows of the same keys in files that did not change
    select
        unchanged.file_id,
        unchanged.line_number,
        unchanged.content_key,
        unchanged.customer_id,
        unchanged.registered_at,
        unchanged.country,
        unchanged.row_fault

    from {{ this }} as unchanged

    where
        unchanged.customer_id in (select customer_id from {{ ref('stg_canonical__changed_keys') }})
        and unchanged.file_id not in (
            select file_id from {{ ref('stg_ops__landed_files') }} where is_changed
        )
    {% endif %}

),

ranked_rows as (

    -- of several rows that can be read, the one that was landed last counts
    select
        *,
        case
            when row_fault is null
                then lead(content_key) over (
                    partition by customer_id, row_fault is null order by file_id, line_number
                )
        end as next_content_key

    from candidates

)

select
    file_id,
    line_number,
    content_key,
    customer_id,
    registered_at,
    country,
    row_fault,
    case
        when row_fault is not null then row_fault
        when content_key = next_content_key then 'exact duplicate'
        when next_content_key is not null then 'replaced by a later row of the same key'
    end as rejected_reason

from ranked_rows
