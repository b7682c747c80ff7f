{#
    Columns of reporting views are described in the contracts of the score tables, and their
    comments are copied from there, so that no description is written twice. Only comments that
    differ are written, because a comment locks the view.

    A view of one score table has the table's name, with or without `_history`, or names the table
    in its meta as `comments_of`.
#}
{% macro copy_comments(relation, model) -%}
    {%- if execute and model.schema == 'reporting' -%}
        {%- set names = {} -%}
        {%- for one in tables_shown_in(model.name) -%}
            {%- for name, column in one.columns.items() -%}
                {%- do names.update({name: one.table ~ '.' ~ column}) -%}
            {%- endfor -%}
        {%- endfor -%}
        {%- set table = model.config.meta.get('comments_of', model.name | replace('_history', '')) -%}
        {% do run_query(copied_comments(relation, table, names)) %}
    {%- endif -%}
{%- endmacro %}

{% macro copied_comments(relation, table, names) -%}
    do $perennial$
    declare
        described record;
    begin
        for described in
            select
                viewed.attname as view_column,
                col_description(scored.attrelid, scored.attnum) as text

            from pg_attribute as viewed
            left join (
                values ('', '') {%- for name, place in names.items() %}, ('{{ name }}', '{{ place }}') {%- endfor %}
            ) as named (view_column, place) on viewed.attname = named.view_column
            inner join pg_attribute as scored
                on
                    scored.attrelid = to_regclass('scores.' || coalesce(split_part(named.place, '.', 1), '{{ table }}'))
                    and scored.attname = coalesce(split_part(named.place, '.', 2), viewed.attname)
            where
                viewed.attrelid = '{{ relation }}'::regclass
                and viewed.attnum > 0
                and col_description(viewed.attrelid, viewed.attnum)
                is distinct from col_description(scored.attrelid, scored.attnum)
        loop
            execute format(
                'comment on column {{ relation | replace('"', '') }}.%I is %L', described.view_column, described.text
            );
        end loop;
    end $perennial$
{%- endmacro %}
