-- One row per line of a sale, refund or adjustment. line_kind keeps charges apart from products.
-- Without `with`: a view that has it is joined whole before a list of keys is looked up in it.
select
    -- ids
    order_items.order_item_id,
    order_items.order_id,
    orders.customer_id,
    order_items.product_id,
    orders.refunded_order_id,
    order_items.file_id,

    -- text
    case
        when order_items.line_type = 'charge' then 'charge'
        else orders.order_type
    end as line_kind,
    orders.order_type,

    -- booleans
    orders.is_guest,

    -- numerics
    order_items.units,
    order_items.unit_price_amount,
    order_items.line_amount,

    -- dates, times
    orders.ordered_at,
    orders.ordered_date

from {{ ref('stg_' ~ var('source') ~ '__order_items') }} as order_items

inner join {{ ref('int_orders') }} as orders
    on order_items.order_id = orders.order_id
