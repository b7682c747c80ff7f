-- One row per customer, from the first sign of them: a registration, an order, a refund. Guests
-- are not here.
with

customers as (

    select * from {{ ref('int_customers') }}
    where {{ is_changed('customer_id') }}

),

orders as (

    select
        customer_id,
        min(ordered_date) as first_order_date,
        max(ordered_date) as last_order_date,
        count(*) as lifetime_count_orders,
        sum(product_amount) as lifetime_product_amount,
        (array_agg(country order by ordered_at desc, order_id desc))[1] as country

    from {{ ref('fct_orders') }}
    where customer_id in (select customer_id from customers)
    group by customer_id

),

refunds as (

    select
        customer_id,
        sum(refund_amount) as lifetime_refund_amount

    from {{ ref('fct_refunds') }}
    where customer_id in (select customer_id from customers)
    group by customer_id

)

select
    customers.customer_id,
    customers.registered_at,
    orders.country,
    orders.first_order_date,
    orders.last_order_date,
    coalesce(orders.lifetime_count_orders, 0)::integer as lifetime_count_orders,
    coalesce(orders.lifetime_product_amount, 0) as lifetime_product_amount,
    coalesce(refunds.lifetime_refund_amount, 0) as lifetime_refund_amount,
    coalesce(orders.lifetime_product_amount, 0) - coalesce(refunds.lifetime_refund_amount, 0)
        as lifetime_net_amount

from customers

left join orders
    on customers.customer_id = orders.customer_id

left join refunds
    on customers.customer_id = refunds.customer_id
