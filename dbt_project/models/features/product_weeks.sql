-- One row per as_of_date, product_id and week that ended by as_of_date, from the product's first
-- sale on. The weeks are laid out here: where the mart ends depends on later orders.
with

dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('(is_scored_date or is_training_date)') }}

),

demand as (

    select * from {{ ref('fct_demand_weekly') }}
    where sold_units > 0

),

products as (

    select * from {{ ref('dim_products') }}

),

first_weeks as (

    select
        product_id,
        min(week_start_date) as first_week_date

    from demand
    group by product_id

),

weeks as (

    select
        generate_series(
            min(first_week_date)::timestamp,
            (select max(as_of_date) from dates)::timestamp,
            interval '7 days'
        )::date as week_start_date
    from first_weeks

),

product_weeks as (

    select
        dates.as_of_date,
        first_weeks.product_id,
        weeks.week_start_date

    from dates
    inner join weeks on dates.as_of_date - 7 >= weeks.week_start_date
    inner join first_weeks on weeks.week_start_date >= first_weeks.first_week_date

)

select
    product_weeks.as_of_date,
    product_weeks.product_id,
    product_weeks.week_start_date,
    coalesce(demand.sold_units, 0) as sold_units,
    coalesce(demand.sold_amount, 0)::numeric(24, 8) as sold_amount,
    (demand.sold_amount / demand.sold_units)::numeric(24, 8) as avg_unit_price_amount,
    products.product_family

from product_weeks

left join demand
    on
        product_weeks.product_id = demand.product_id
        and product_weeks.week_start_date = demand.week_start_date

left join products
    on product_weeks.product_id = products.product_id
