-- One row per line that counts nowhere, those that landing could not read too. A line of an order
-- that does not count has the order's reason.
with

lines as (

    select * from {{ ref('stg_canonical__order_items_judged') }}
    where rejected_reason is not null

),

raw_lines as (

    select * from {{ source('raw', 'canonical_order_items') }}
    where _file_id in (select file_id from lines)

),

unread_lines as (

    {{ unread_records('canonical_order_items') }}

),

rejected_lines as (

    select
        lines.file_id,
        lines.line_number,
        nullif(lines.order_id, '') as order_id,
        lines.product_id,
        {{ estimated_amount('raw_lines.quantity', 'raw_lines.unit_price_amount') }} as sent_amount,
        lines.rejected_reason,
        false as is_unread

    from lines

    inner join raw_lines
        on lines.file_id = raw_lines._file_id and lines.line_number = raw_lines._line

    union all

    select
        file_id,
        line_number,
        nullif({{ as_id(unread_field('order_id')) }}, '') as order_id,
        nullif({{ as_id(unread_field('product_id')) }}, '') as product_id,
        {{ estimated_amount(unread_field('quantity'), unread_field('unit_price_amount')) }}
            as sent_amount,
        rejected_reason,
        true as is_unread

    from unread_lines

),

orders as (

    -- the order that counts, else the one that was sent last
    select distinct on (order_id)
        order_id,
        country,
        ordered_date,
        rejected_reason

    from (
        select
            order_id,
            country,
            {{ shop_date('ordered_at') }} as ordered_date,
            null as rejected_reason,
            file_id,
            0 as line_number

        from {{ ref('stg_canonical__orders') }}

        union all

        select
            order_id,
            country,
            ordered_date,
            rejected_reason,
            file_id,
            line_number

        from {{ ref('stg_canonical__orders_rejected') }}
    ) as all_orders

    where order_id in (select order_id from rejected_lines)

    order by
        order_id asc,
        rejected_reason is not null asc,
        file_id desc,
        line_number desc

)

select
    rejected_lines.file_id,
    rejected_lines.line_number,
    rejected_lines.order_id,
    rejected_lines.product_id,
    orders.country,
    orders.ordered_date,
    rejected_lines.sent_amount,
    case
        when rejected_lines.rejected_reason <> 'order is unknown or rejected'
            then rejected_lines.rejected_reason
        else coalesce(orders.rejected_reason, 'order is unknown')
    end as rejected_reason,
    rejected_lines.is_unread

from rejected_lines

left join orders
    on rejected_lines.order_id = orders.order_id
