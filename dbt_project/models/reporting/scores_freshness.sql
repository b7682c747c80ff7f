-- One row per question that was ever published.
with

publications as (

    select * from {{ source('ops', 'publications') }}

),

late_dates as (

    select distinct
        question,
        as_of_date

    from {{ source('ops', 'late_dates') }}

),

newest as (

    select distinct on (question) *
    from publications
    order by question asc, as_of_date desc

),

published_dates as (

    select
        publications.question,
        count(*) as count_published_dates,
        count(late_dates.as_of_date) as count_late_dates

    from publications
    left join late_dates using (question, as_of_date)
    group by publications.question

)

select
    newest.question,
    newest.as_of_date,
    newest.published_at,
    newest.row_count,
    newest.model_name,
    newest.model_version,
    newest.training_date,
    published_dates.count_published_dates,
    published_dates.count_late_dates

from newest
inner join published_dates using (question)
