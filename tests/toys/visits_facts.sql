-- One row per as_of_date and session_id: the views of a visit before the date.
with

dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('(is_scored_date or is_grid_date)') }}

),

views as (

    select * from {{ ref('stg_canonical__events') }}

)

select
    dates.as_of_date,
    views.session_id,
    count(*)::integer as count_orders,
    (dates.as_of_date - max(views.viewed_date))::integer as days_since_last_order

from dates
inner join views on dates.as_of_date > views.viewed_date
group by dates.as_of_date, views.session_id
