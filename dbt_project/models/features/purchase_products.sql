-- One row per as_of_date and product_id with an order before the date.
{%- set age = 'lines.as_of_date - lines.ordered_date' %}
with

dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('(is_scored_date or is_training_date)') }}

),

sales as (

    select
        dates.as_of_date,
        items.product_id,
        -- to a customer, as in the lines that models learn from; of guests if there was none
        coalesce(
            min(items.ordered_date) filter (where items.customer_id is not null),
            min(items.ordered_date)
        ) as first_sale_date,
        max(items.ordered_date) as last_sale_date,
        sum(items.units) filter (where items.ordered_date >= dates.as_of_date - 365) as sold_units

    from dates
    inner join {{ ref('fct_order_items') }} as items on dates.as_of_date > items.ordered_date
    group by dates.as_of_date, items.product_id

),

returns as (

    select
        dates.as_of_date,
        refunds.product_id,
        sum(refunds.units) as returned_units

    from dates
    inner join {{ ref('fct_refunds') }} as refunds
        on
            dates.as_of_date > refunds.refunded_date
            and dates.as_of_date - 365 <= refunds.refunded_date
    group by dates.as_of_date, refunds.product_id

),

lines as (

    select distinct
        dates.as_of_date,
        items.product_id,
        items.customer_id,
        items.order_id,
        items.ordered_date

    from dates
    inner join {{ ref('fct_order_items') }} as items
        on dates.as_of_date > items.ordered_date and dates.as_of_date - 365 <= items.ordered_date
    where items.customer_id is not null

),

buyers as (

    select
        lines.as_of_date,
        lines.product_id,
        lines.customer_id,
        count(*) as count_orders,
        bool_or({{ age }} <= 28) as is_recent,
        bool_or({{ age }} between 29 and 56) as is_earlier,
        bool_or({{ age }} <= 90) as is_of_quarter,
        bool_or({{ age }} > 365 - 90) as is_of_season

    from lines
    group by lines.as_of_date, lines.product_id, lines.customer_id

),

counted as (

    select
        as_of_date,
        product_id,
        count(*) filter (where is_recent) as recent,
        count(*) filter (where is_earlier) as earlier,
        count(*) filter (where is_of_quarter) as of_quarter,
        count(*) filter (where is_of_season) as of_season,
        count(*) as of_year,
        count(*) filter (where count_orders > 1) as repeated

    from buyers
    group by as_of_date, product_id

),

active as (

    select
        as_of_date,
        count(distinct customer_id) filter (where is_recent) as count_customers

    from buyers
    group by as_of_date

)

select
    sales.as_of_date,
    sales.product_id,
    products.product_name,
    products.product_family,
    coalesce(counted.recent, 0)::integer as count_customers_28d,
    coalesce(counted.earlier, 0)::integer as count_customers_28d_before,
    coalesce(counted.of_quarter, 0)::integer as count_customers_90d,
    coalesce(counted.of_season, 0)::integer as count_customers_season_last_year,
    coalesce(counted.of_year, 0)::integer as count_customers_365d,
    coalesce(counted.repeated, 0)::integer as count_repeat_customers_365d,
    coalesce(active.count_customers, 0)::integer as count_active_customers_28d,
    (sales.as_of_date - sales.first_sale_date)::integer as days_since_first_sale,
    (sales.as_of_date - sales.last_sale_date)::integer as days_since_last_sale,
    (coalesce(returns.returned_units, 0) / nullif(sales.sold_units, 0))::double precision
        as returned_share_365d,
    coalesce(products.discontinued_date <= sales.as_of_date, false) as is_discontinued

from sales
left join counted
    on sales.as_of_date = counted.as_of_date and sales.product_id = counted.product_id
left join active on sales.as_of_date = active.as_of_date
left join returns
    on sales.as_of_date = returns.as_of_date and sales.product_id = returns.product_id
left join {{ ref('dim_products') }} as products on sales.product_id = products.product_id
