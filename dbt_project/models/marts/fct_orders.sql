-- One row per sale with a priced line, guests' included. Refunds are in fct_refunds, on their own
-- day.
with

orders as (

    select * from {{ ref('int_orders') }}
    where
        order_type = 'sale'
        and {{ is_changed('order_id') }}

),

lines as (

    select * from {{ ref('int_order_lines') }}
    where
        order_type = 'sale'
        and {{ is_changed('order_id') }}

),

totals as (

    select
        order_id,
        count(*) filter (where line_kind = 'sale') as count_items,
        coalesce(sum(units) filter (where line_kind = 'sale'), 0) as units,
        coalesce(sum(line_amount) filter (where line_kind = 'sale'), 0) as product_amount,
        coalesce(sum(line_amount) filter (where line_kind = 'charge'), 0) as charge_amount

    from lines

    group by order_id

    having bool_or(line_amount > 0)

)

select
    orders.order_id,
    orders.customer_id,
    orders.is_guest,
    orders.ordered_at,
    orders.ordered_date,
    orders.country,
    totals.count_items::integer as count_items,
    totals.units,
    totals.product_amount,
    totals.charge_amount,
    orders.file_id

from orders

inner join totals
    on orders.order_id = totals.order_id
