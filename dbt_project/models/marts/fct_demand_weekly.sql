-- One row per product and week, from its first sale to the newest week with an order, weeks
-- without a sale too. What was sold, not net of refunds; guests' orders count. Weeks of a product
-- before its first touched day stand; the others are taken out first (pre_hook) and made anew.
with

newest_week as (

    select date_trunc('week', max(ordered_date))::date as week_start_date
    from {{ ref('fct_orders') }}

),

order_items as (

    {{ touched_items() }}

),

sales as (

    select
        product_id,
        date_trunc('week', ordered_date)::date as week_start_date,
        sum(units) as sold_units,
        sum(line_amount) as sold_amount,
        count(distinct order_id) as count_orders

    from order_items
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

    -- what was not taken out goes on where it ends; also of products that nobody bought since
    select
        product_id,
        max(week_start_date) + 7 as week_start_date

    from {{ this }}
    group by product_id
    {% endif %}

),

product_weeks as (

    select
        first_weeks.product_id,
        generate_series(
            min(first_weeks.week_start_date), newest_week.week_start_date, interval '7 days'
        )::date as week_start_date

    from first_weeks
    cross join newest_week
    group by first_weeks.product_id, newest_week.week_start_date

)

select
    product_id,
    week_start_date,
    coalesce(sales.sold_units, 0) as sold_units,
    coalesce(sales.sold_amount, 0) as sold_amount,
    coalesce(sales.count_orders, 0)::integer as count_orders

from product_weeks
left join sales using (product_id, week_start_date)
