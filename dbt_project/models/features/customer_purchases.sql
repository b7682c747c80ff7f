-- One row per as_of_date and customer_id, for the customers of customer_snapshots: the products
-- that a customer ordered in the 1,095 days before, as arrays.
with

dates as materialized (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('(is_scored_date or is_training_date)') }}

),

customers as (

    select
        snapshots.as_of_date,
        snapshots.customer_id

    from {{ ref('customer_snapshots') }} as snapshots
    inner join dates using (as_of_date)

),

lines as (

    -- of a millionth part: whole numbers add up to the same sum in any order
    select distinct
        customers.as_of_date,
        customers.customer_id,
        items.product_id,
        items.order_id,
        items.ordered_date,
        round(1000000 * power(0.5, (customers.as_of_date - items.ordered_date) / 120.0))::bigint
            as weight

    from customers
    inner join {{ ref('fct_order_items') }} as items
        on
            customers.customer_id = items.customer_id
            and customers.as_of_date > items.ordered_date
            and customers.as_of_date - 1095 <= items.ordered_date

),

pairs as (

    select
        as_of_date,
        customer_id,
        product_id,
        count(*)::integer as count_orders,
        sum(weight)::bigint as weight,
        (as_of_date - max(ordered_date))::integer as days_since_last,
        (as_of_date - min(ordered_date))::integer as days_since_first

    from lines
    group by as_of_date, customer_id, product_id

),

products as (

    select
        as_of_date,
        customer_id,
        array_agg(product_id order by product_id collate "C") as product_ids,
        array_agg(count_orders order by product_id collate "C") as counts_orders,
        array_agg(weight / 1000000.0::double precision order by product_id collate "C")
            as decayed_orders,
        array_agg(days_since_last order by product_id collate "C") as days_since_last,
        array_agg(days_since_first order by product_id collate "C") as days_since_first

    from pairs
    group by as_of_date, customer_id

),

orders as (

    select
        as_of_date,
        customer_id,
        count(*)::integer as count_orders,
        sum(weight) / 1000000.0::double precision as count_orders_decayed

    from (
        select distinct
            as_of_date,
            customer_id,
            order_id,
            weight
        from lines
    ) as once
    group by as_of_date, customer_id

)

select
    customers.as_of_date,
    customers.customer_id,
    coalesce(orders.count_orders, 0) as count_orders,
    coalesce(orders.count_orders_decayed, 0) as count_orders_decayed,
    coalesce(products.product_ids, '{}') as product_ids,
    coalesce(products.counts_orders, '{}') as counts_orders,
    coalesce(products.decayed_orders, '{}') as decayed_orders,
    coalesce(products.days_since_last, '{}') as days_since_last,
    coalesce(products.days_since_first, '{}') as days_since_first

from customers
left join products using (as_of_date, customer_id)
left join orders using (as_of_date, customer_id)

-- rows of a shard lie side by side (ml_tasks/features/shards.py)
order by customers.as_of_date, substr(md5(customers.customer_id), 9, 8) collate "C"
