-- One row per line of an accepted file of orders, good or not: rejected_reason tells. An order of
-- a customer whom the shop's own list does not have is rejected until that customer arrives; 0 and
-- the like are a guest, unless that list has them. Of an order the newest readable row counts: one
-- that says it was cancelled takes it away.
{%- set sent = 'order_id customer_id ordered_at country order_type refunded_order_id'.split() %}
{%- set columns = [
    'order_id', 'sent_customer_id', 'refunded_order_id', 'order_type', 'country', 'ordered_at'
] %}
with

typed_rows as (

    select
        _file_id as file_id,
        _line as line_number,
        {{ content_key(sent) }} as content_key,
        {{ as_id('order_id') }} as order_id,
        {{ as_customer_id('customer_id') }} as sent_customer_id,
        nullif({{ as_id('refunded_order_id') }}, '') as refunded_order_id,
        lower({{ as_text('order_type') }}) as order_type,
        {{ as_text('country') }} as country,
        {{ as_order_time('ordered_at') }} as ordered_at

    from ({{ raw_rows_of_build('canonical_orders') }}) as raw_rows {{ made_once() }}

),

judged_rows as (

    select
        *,
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

    from typed_rows {{ made_once() }}

),

ranked_rows as (

    {{ with_next_row('judged_rows', columns, ['order_id']) }}

)

select
    ranked_rows.file_id,
    ranked_rows.line_number,
    ranked_rows.content_key,
    ranked_rows.order_id,
    case  -- null for a guest
        when
            customers.customer_id is not null
            or not {{ is_guest_code('ranked_rows.sent_customer_id') }}
            then ranked_rows.sent_customer_id
    end as customer_id,
    ranked_rows.{{ columns[1:] | join(', ranked_rows.') }},
    ranked_rows.row_fault,
    case
        {{ fault_or_replaced('ranked_rows') }}
        when {{ is_cancelled('ranked_rows.order_type') }} then 'order was cancelled'
        when
            customers.customer_id is null
            and not {{ is_guest_code('ranked_rows.sent_customer_id') }}
            then 'customer is unknown'
    end as rejected_reason

from ranked_rows

left join {{ ref('stg_canonical__customers') }} as customers
    on ranked_rows.sent_customer_id = customers.customer_id
