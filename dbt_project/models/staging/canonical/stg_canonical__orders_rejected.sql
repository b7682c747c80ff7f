-- One row per row of orders that counts nowhere: rejected for itself, without a line that counts
-- (then it has the reason of its lines), or not read by landing at all.
with

rejected_lines as (

    select
        order_id,
        min(rejected_reason) as rejected_reason

    from {{ ref('stg_canonical__order_items_judged') }}
    where rejected_reason is not null

    group by order_id

),

unread_orders as (

    {{ unread_records('canonical_orders') }}

)

select
    orders.file_id,
    orders.line_number,
    nullif(orders.order_id, '') as order_id,
    orders.country,
    {{ shop_date('orders.ordered_at') }} as ordered_date,
    coalesce(orders.rejected_reason, rejected_lines.rejected_reason, 'order without a line')
        as rejected_reason,
    false as is_unread

from {{ ref('stg_canonical__orders_judged') }} as orders

left join rejected_lines
    on orders.order_id = rejected_lines.order_id

where
    orders.rejected_reason is not null
    or orders.order_id not in (
        select order_id from {{ ref('stg_canonical__order_items_judged') }}
        where rejected_reason is null
    )

union all

select
    file_id,
    line_number,
    nullif({{ as_id(unread_field('order_id')) }}, '') as order_id,
    nullif({{ unread_field('country') }}, '') as country,
    {{ estimated_date(unread_field('ordered_at')) }} as ordered_date,
    rejected_reason,
    true as is_unread

from unread_orders
