-- One row per product and week, from its first sale to the newest week with an order, weeks
-- without a sale too. What was sold, not net of refunds; guests' orders count.
with

newest_week as (

    select date_trunc('week', max(ordered_date))::date as week_start_date
    from {{ ref('fct_orders') }}

),

touched_products as (

    select product_id from {{ ref('int_touched_keys') }}
    where product_id is not null

),

sales as (

    select
        product_id,
        date_trunc('week', ordered_date)::date as week_start_date,
        sum(units) as sold_units,
        sum(line_amount) as sold_amount,
        count(distinct order_id) as count_orders

    from {{ ref('fct_order_items') }}
    where {{ is_changed('product_id') }}
    group by product_id, date_trunc('week', ordered_date)

),

first_weeks as (

    select
        product_id,
        min(week_start_date) as week_start_date

    from sales
    group by product_id

    {% if is_partial() %}
    union all

    -- a week has begun: products that nobody bought get a row too
    select
        product_id,
        max(week_start_date) + 7 as week_start_date

    from {{ this }}
    where product_id not in (select product_id from touched_products)
    group by product_id
    {% endif %}

),

product_weeks as (

    select
        first_weeks.product_id,
        generate_series(
            first_weeks.week_start_date, newest_week.week_start_date, interval '7 days'
        )::date as week_start_date

    from first_weeks

    cross join newest_week

)

select
    product_weeks.product_id,
    product_weeks.week_start_date,
    coalesce(sales.sold_units, 0)::bigint as sold_units,
    coalesce(sales.sold_amount, 0) as sold_amount,
    coalesce(sales.count_orders, 0)::integer as count_orders

from product_weeks

left join sales
    on
        product_weeks.product_id = sales.product_id
        and product_weeks.week_start_date = sales.week_start_date
