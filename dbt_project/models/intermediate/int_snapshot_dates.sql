-- One row per date that features can be made for: the scored date, and the grid, which is the
-- firsts of months after the first order and never depends on which dates were scored.
with

bounds as (

    select
        date '{{ var("as_of_date") }}' as scored_date,
        date_trunc('month', date '{{ var("as_of_date") }}')::date as training_date,
        date_trunc('month', min(ordered_date))::date as first_month_date,
        max(ordered_date) as newest_order_date

    from {{ ref('fct_orders') }}

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

)

select
    dates.as_of_date,
    coalesce(
        extract(day from dates.as_of_date) = 1 and dates.as_of_date > bounds.first_month_date, false
    ) as is_grid_date,
    dates.as_of_date = bounds.scored_date as is_scored_date,
    dates.as_of_date = bounds.training_date as is_training_date,
    dates.as_of_date <= bounds.scored_date as is_past

from dates
cross join bounds
