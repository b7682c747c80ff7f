-- One row per product and week, from its first sale to the newest week with an order, weeks
-- without a sale too. What was sold, not net of refunds; guests' orders count. Weeks of a product
-- before its first touched day stand; the others are taken out first (pre_hook) and made anew.
{%- set touched_keys = ref('int_touched_keys') %} {#- here, so that dbt knows of it in any case #}
with

newest_week as (

    select date_trunc('week', max(ordered_date))::date as week_start_date
    from {{ ref('fct_orders') }}

),

{% if is_partial() %}
touched_products as (

    select
        product_id,
        date_trunc('week', first_touched_date)::date as week_start_date

    from {{ touched_keys }}
    where product_id is not null and first_touched_date is not null

),

order_items as (

    -- Product by product along the index: most products sell every day, and nearly all that is
    -- asked of them is new. `order by` keeps it from being planned as a join with all items.
    select touched_items.*

    from touched_products

    cross join lateral (
        select items.* from {{ ref('fct_order_items') }} as items
        where
            items.product_id = touched_products.product_id
            and items.ordered_date >= touched_products.week_start_date
        order by items.ordered_date
    ) as touched_items

),
{% else %}
order_items as (

    select * from {{ ref('fct_order_items') }}

),
{% endif %}
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

first_week as (

    select
        product_id,
        min(week_start_date) as week_start_date

    from first_weeks
    group by product_id

),

product_weeks as (

    select
        first_week.product_id,
        generate_series(
            first_week.week_start_date, newest_week.week_start_date, interval '7 days'
        )::date as week_start_date

    from first_week

    cross join newest_week

)

select
    product_weeks.product_id,
    product_weeks.week_start_date,
    coalesce(sales.sold_units, 0) as sold_units,
    coalesce(sales.sold_amount, 0) as sold_amount,
    coalesce(sales.count_orders, 0)::integer as count_orders

from product_weeks

left join sales
    on
        product_weeks.product_id = sales.product_id
        and product_weeks.week_start_date = sales.week_start_date
