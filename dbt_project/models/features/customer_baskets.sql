-- One row per as_of_date and customer_id, for the customers of customer_snapshots: what the orders
-- of a day came to, and which families were in them. Only days before as_of_date count.
{%- set window_days = 730 %}
{%- set amount = 'greatest(seen.gross_spend_amount, 0.01)' %}
{%- set log_amount = 'ln(' ~ amount ~ '::double precision)::numeric(24, 8)' %}
with

dates as materialized (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('is_past') }}

),

customers as materialized (

    select
        snapshots.as_of_date,
        snapshots.customer_id

    from {{ ref('customer_snapshots') }} as snapshots
    inner join dates on snapshots.as_of_date = dates.as_of_date

),

amounts as (

    select
        customers.as_of_date,
        customers.customer_id,
        avg(seen.gross_spend_amount)::numeric(24, 8) as avg_order_day_amount,
        percentile_cont(0.5) within group (order by seen.gross_spend_amount::double precision)
            as median_order_day_amount,
        -- sums of numeric do not depend on the order of the rows
        avg({{ log_amount }})::double precision as mean_log_order_day_amount,
        stddev_samp({{ log_amount }})::double precision as stddev_log_order_day_amount,
        percentile_cont(0.5) within group (order by seen.days_since_previous_order_day)
            as median_days_between_orders,
        count(*) filter (where customers.as_of_date - {{ window_days }} <= seen.day_date)::integer
            as count_order_days_730d

    from customers
    inner join {{ ref('int_customer_days') }} as seen
        on
            customers.customer_id = seen.customer_id
            and customers.as_of_date > seen.day_date
            and seen.order_day_number is not null
    group by customers.as_of_date, customers.customer_id

),

of_days as (

    select
        customers.as_of_date,
        customers.customer_id,
        named.product_family,
        items.ordered_date,
        count(distinct items.product_id)::integer as count_products

    from customers
    inner join {{ ref('fct_order_items') }} as items
        on
            customers.customer_id = items.customer_id
            and customers.as_of_date > items.ordered_date
            and customers.as_of_date - {{ window_days }} <= items.ordered_date
    inner join {{ ref('product_families') }} as named
        on customers.as_of_date = named.as_of_date and items.product_id = named.product_id
    group by
        customers.as_of_date, customers.customer_id, named.product_family, items.ordered_date

),

of_families as (

    select
        as_of_date,
        customer_id,
        product_family,
        count(*)::integer as count_order_days,
        (as_of_date - max(ordered_date))::integer as days_since,
        sum(count_products)::integer as count_products,
        (array_agg(count_products order by ordered_date desc))[1] as count_last_products

    from of_days
    group by as_of_date, customer_id, product_family

),

listed as (

    select
        as_of_date,
        customer_id,
        array_agg(product_family order by product_family collate "C") as families,
        array_agg(count_order_days order by product_family collate "C") as family_order_days,
        array_agg(days_since order by product_family collate "C") as family_days_since,
        array_agg(count_products order by product_family collate "C") as family_products,
        array_agg(count_last_products order by product_family collate "C") as family_last_products

    from of_families
    group by as_of_date, customer_id

)

select
    amounts.as_of_date,
    amounts.customer_id,
    amounts.avg_order_day_amount,
    amounts.median_order_day_amount,
    amounts.mean_log_order_day_amount,
    amounts.stddev_log_order_day_amount,
    amounts.median_days_between_orders,
    amounts.count_order_days_730d,
    coalesce(listed.families, '{}'::text[]) as families,
    coalesce(listed.family_order_days, '{}'::integer[]) as family_order_days,
    coalesce(listed.family_days_since, '{}'::integer[]) as family_days_since,
    coalesce(listed.family_products, '{}'::integer[]) as family_products,
    coalesce(listed.family_last_products, '{}'::integer[]) as family_last_products

from amounts
left join listed
    on amounts.as_of_date = listed.as_of_date and amounts.customer_id = listed.customer_id

-- rows of a shard lie side by side (ml_tasks/features/shards.py)
order by amounts.as_of_date, substr(md5(amounts.customer_id), 9, 8) collate "C"
