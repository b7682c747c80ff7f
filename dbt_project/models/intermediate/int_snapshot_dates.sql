-- One row per date that features can be made for: the scored date, and the grid, which is the
-- firsts of months after the first order and never depends on which dates were scored.
with

bounds as (

    select
        {{ as_of_date() }} as scored_date,
        date_trunc('month', {{ as_of_date() }})::date as training_date,
        date_trunc('month', min(ordered_date))::date as first_month_date,
        max(ordered_date) as newest_order_date

    from {{ ref('fct_orders') }}

),

first_orders as (

    select
        customer_id,
        min(ordered_date) as first_ordered_date

    from {{ ref('fct_orders') }}
    where customer_id is not null
    group by customer_id

),

dates as (

    select scored_date as as_of_date from bounds

    union

    -- later than the scored date, too: they may be there already, and a late file may touch them
    select months.month_date::date as as_of_date
    from bounds
    cross join generate_series(
        bounds.first_month_date + interval '1 month',
        greatest(bounds.scored_date, bounds.newest_order_date),
        interval '1 month'
    ) as months (month_date)

),

counts as (

    select
        dates.as_of_date,
        count(*) as count_customers

    from dates
    inner join first_orders on dates.as_of_date > first_orders.first_ordered_date
    group by dates.as_of_date

)

select
    dates.as_of_date,
    coalesce(
        extract(day from dates.as_of_date) = 1 and dates.as_of_date > bounds.first_month_date, false
    ) as is_grid_date,
    dates.as_of_date = bounds.scored_date as is_scored_date,
    dates.as_of_date = bounds.training_date as is_training_date,
    dates.as_of_date <= bounds.scored_date as is_past,
    dates.as_of_date in (bounds.scored_date, bounds.training_date)
    or dates.as_of_date in (
        select publications.as_of_date from {{ source('ops', 'publications') }} as publications
    ) as is_whole,
    case
        when counts.count_customers > {{ var('training_customers') }}
            then (
                {{ sample_buckets() }}::bigint * {{ var('training_customers') }}
                / counts.count_customers
            )::integer
    end as sample_buckets

from dates
cross join bounds
left join counts on dates.as_of_date = counts.as_of_date
