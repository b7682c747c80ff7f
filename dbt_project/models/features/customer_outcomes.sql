-- One row per as_of_date, customer_id and horizon_days. The window is
-- [as_of_date, as_of_date + horizon_days): as_of_date is in it, known_on_date is not any more.
{%- set is_over = "known_on_date <= " ~ as_of_date() %}
with

dates as (

    select
        dates.as_of_date,
        dates.sample_buckets,
        horizons.horizon_days,
        dates.as_of_date + horizons.horizon_days as known_on_date

    from {{ ref('int_snapshot_dates') }} as dates
    cross join (values (90), (365)) as horizons (horizon_days)
    where dates.is_grid_date

),

due_dates as (

    select * from dates
    where {{ is_due(is_over, 'known_on_date', ['as_of_date', 'horizon_days']) }}

),

days as (

    select * from {{ ref('int_customer_days') }}

),

known_customers as (

    select
        dates.*,
        days.customer_id

    from due_dates as dates
    inner join days
        on
            dates.as_of_date > days.day_date and days.order_day_number = 1
            and {{ is_in_sample('days.sample_bucket') }}

),

window_totals as (

    select
        dates.as_of_date,
        dates.horizon_days,
        days.customer_id,
        sum(days.count_orders) as count_orders,
        sum(days.net_amount) as net_amount

    from due_dates as dates
    inner join days
        on
            dates.as_of_date <= days.day_date and dates.known_on_date > days.day_date
            and {{ is_in_sample('days.sample_bucket') }}
    group by dates.as_of_date, dates.horizon_days, days.customer_id

)

select
    known_customers.as_of_date,
    known_customers.customer_id,
    known_customers.horizon_days,
    known_customers.known_on_date,
    coalesce(window_totals.count_orders, 0)::integer as count_orders,
    greatest(coalesce(window_totals.net_amount, 0), 0)::numeric(24, 8) as net_spend_amount

from known_customers
left join window_totals using (as_of_date, horizon_days, customer_id)
