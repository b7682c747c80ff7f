-- One row per line of an accepted file of orders, good or not: rejected_reason tells. An order of
-- a customer whom the shop's own list does not have is rejected until that customer arrives; 0 and
-- the like are a guest, unless that list has them. Of an order the newest readable row counts: one
-- that says it was cancelled takes it away.
-- depends_on: {{ ref('stg_canonical__changed_keys') }}
with

files as (

    select * from {{ ref('stg_ops__landed_files') }}
    where is_accepted {% if is_partial() %}and is_changed{% endif %}

),

raw_rows as (

    select * from {{ source('raw', 'canonical_orders') }}
    where _file_id in (select file_id from files)

),

typed_rows as (

    select
        _file_id as file_id,
        _line as line_number,
        -- the row as it was sent: equal rows have equal keys
        md5(
            row(
                order_id, customer_id, ordered_at, country, order_type,
                refunded_order_id
            )::text
        )::uuid as content_key,
        {{ as_id('order_id') }} as order_id,
        {{ as_customer_id('customer_id') }} as sent_customer_id,
        nullif({{ as_id('refunded_order_id') }}, '') as refunded_order_id,
        lower({{ as_text('order_type') }}) as order_type,
        {{ as_text('country') }} as country,
        {{ as_order_time('ordered_at') }} as ordered_at

    from raw_rows

    {{ made_once() }}

),

judged_rows as (

    select
        file_id,
        line_number,
        content_key,
        order_id,
        sent_customer_id,
        refunded_order_id,
        order_type,
        country,
        ordered_at,
        case
            when order_id = '' then 'no order_id'
            when {{ is_too_long('order_id') }} then 'order_id is longer than 200 characters'
            when ordered_at is null
                then 'ordered_at is no date and time from 1990 to its landing'
            when
                coalesce(order_type, '') not in ('sale', 'refund')
                and not coalesce({{ is_cancelled('order_type') }}, false)
                then 'order_type is neither sale nor refund'
        end as row_fault

    from typed_rows

    {{ made_once() }}

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
        unchanged.order_id,
        unchanged.sent_customer_id,
        unchanged.refunded_order_id,
        unchanged.order_type,
        unchanged.country,
        unchanged.ordered_at,
        unchanged.row_fault

    from {{ this }} as unchanged

    where
        unchanged.order_id in (select order_id from {{ ref('stg_canonical__changed_keys') }})
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
                    partition by order_id, row_fault is null order by file_id, line_number
                )
        end as next_content_key

    from candidates

)

select
    ranked_rows.file_id,
    ranked_rows.line_number,
    ranked_rows.content_key,
    ranked_rows.order_id,
    -- null for a guest
    case
        when
            customers.customer_id is not null
            or not {{ is_guest_code('ranked_rows.sent_customer_id') }}
            then ranked_rows.sent_customer_id
    end as customer_id,
    ranked_rows.sent_customer_id,
    ranked_rows.refunded_order_id,
    ranked_rows.order_type,
    ranked_rows.country,
    ranked_rows.ordered_at,
    ranked_rows.row_fault,
    case
        when ranked_rows.row_fault is not null then ranked_rows.row_fault
        when ranked_rows.content_key = ranked_rows.next_content_key then 'exact duplicate'
        when ranked_rows.next_content_key is not null then 'replaced by a later row of the same key'
        when {{ is_cancelled('ranked_rows.order_type') }} then 'order was cancelled'
        when
            customers.customer_id is null
            and not {{ is_guest_code('ranked_rows.sent_customer_id') }}
            then 'customer is unknown'
    end as rejected_reason

from ranked_rows

left join {{ ref('stg_canonical__customers') }} as customers
    on ranked_rows.sent_customer_id = customers.customer_id
