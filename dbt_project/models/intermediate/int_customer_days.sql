-- One row per customer and day on which they ordered or were refunded. A row says nothing of later
-- days, so a feature may read all rows before its date. It follows from the customer's own orders
-- and refunds, so of touched customers alone it is made anew.
with

order_days as (

    select
        customer_id,
        ordered_date as day_date,
        count(*) as count_orders,
        sum(units) as units,
        sum(product_amount) as gross_spend_amount,
        max(product_amount) as max_order_amount,
        (array_agg(product_amount order by ordered_at, order_id))[1] as first_order_amount,
        (array_agg(product_amount order by ordered_at desc, order_id desc))[1] as last_order_amount,
        (array_agg(country order by ordered_at desc, order_id desc))[1] as country,
        row_number() over customer_order_days as order_day_number,
        ordered_date - lag(ordered_date) over customer_order_days as days_since_previous_order_day
    from {{ ref('fct_orders') }}
    where customer_id is not null and {{ is_changed('customer_id') }}
    group by customer_id, ordered_date
    window customer_order_days as (partition by customer_id order by ordered_date)

),

new_products as (

    select
        customer_id,
        day_date,
        count(*) as count_new_products
    from (
        select
            customer_id,
            min(ordered_date) as day_date
        from {{ ref('fct_order_items') }}
        where customer_id is not null and {{ is_changed('customer_id') }}
        group by customer_id, product_id
    ) as first_purchases
    group by customer_id, day_date

),

refund_days as (

    select
        customer_id,
        refunded_date as day_date,
        count(distinct refund_id) as count_refunds,
        sum(refund_amount) as refund_amount
    from {{ ref('fct_refunds') }}
    where customer_id is not null and {{ is_changed('customer_id') }}
    group by customer_id, refunded_date

)

select
    customer_id,
    day_date,
    coalesce(order_days.count_orders, 0) as count_orders,
    coalesce(order_days.units, 0) as units,
    coalesce(new_products.count_new_products, 0) as count_new_products,
    coalesce(order_days.gross_spend_amount, 0) as gross_spend_amount,
    coalesce(refund_days.count_refunds, 0) as count_refunds,
    coalesce(refund_days.refund_amount, 0) as refund_amount,
    coalesce(order_days.gross_spend_amount, 0) - coalesce(refund_days.refund_amount, 0)
        as net_amount,
    order_days.max_order_amount,
    order_days.first_order_amount,
    order_days.last_order_amount,
    order_days.country,
    order_days.order_day_number,
    order_days.days_since_previous_order_day,
    {{ sample_bucket('customer_id') }} as sample_bucket
from order_days
full outer join refund_days using (customer_id, day_date)
left join new_products using (customer_id, day_date)
