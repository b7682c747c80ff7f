-- One row per line of a sale, refund or adjustment. line_kind keeps charges apart from products.
with

orders as (

    select * from {{ ref('int_orders') }}

),

order_items as (

    select * from {{ ref('stg_' ~ var('source') ~ '__order_items') }}

)

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

from order_items

inner join orders
    on order_items.order_id = orders.order_id
