-- One row per order that came again with less money than it had, whatever the source.
select
    reduced_orders.order_id,
    orders.country,
    orders.ordered_date,
    reduced_orders.reduced_amount

from {{ ref('stg_' ~ var('source') ~ '__reduced_orders') }} as reduced_orders

left join {{ ref('int_orders') }} as orders
    on reduced_orders.order_id = orders.order_id
