-- One row per as_of_date and day before it on which a customer ordered. Guests have no history, so
-- they are not in it.
with

dates as (

    select dates.as_of_date
    from {{ ref('int_snapshot_dates') }} as dates
    where {{ is_due('(is_scored_date or is_training_date)') }}

),

days as (

    select
        day_date,
        count(*) as count_customers,
        count(*) filter (where order_day_number = 1) as count_new_customers

    from {{ ref('int_customer_days') }}
    where count_orders > 0
    group by day_date

)

select
    dates.as_of_date,
    days.day_date,
    days.count_customers::integer as count_customers,
    days.count_new_customers::integer as count_new_customers

from dates
inner join days on dates.as_of_date > days.day_date
